"""Nothing of selfscan runs what a file holds: no pickle, no archive unpacked, no shell."""

from __future__ import annotations

from pathlib import Path

import pytest
from unsafe import offences

SOURCE = Path(__file__).parents[2] / "src"


def test_no_module_calls_what_may_run_a_file() -> None:
    files = sorted(SOURCE.rglob("*.py"))
    assert len(files) > 200
    found = [
        f"{file.relative_to(SOURCE)}:{line}: {what}"
        for file in files
        for line, what in offences(file.read_text())
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "planted",
    [
        "import torch\ntorch.load(path)",
        "import torch\ntorch.load(path, weights_only=False)",
        "import torch as t\nt.load(path, weights_only=unsure)",
        "from torch import load as read\nread(path, map_location='cpu')",
        "import numpy as np\nnp.load(path)",
        "import numpy\nnumpy.load(path, allow_pickle=True)",
        "from numpy import load\nload(path, **options)",
        "import pickle",
        "from pickle import loads",
        "import cloudpickle.compat as c",
        "from pandas.io import pickle",
        "import marshal, os",
        "import joblib",
        "def f():\n    import dill",
        "import pandas as pd\npd.read_pickle(path)",
        "import yaml\nyaml.load(text)",
        "import yaml\nyaml.load(text, Loader=yaml.SafeLoader)",  # plainer: safe_load
        "import yaml\nyaml.unsafe_load(text)",
        "from yaml import full_load\nfull_load(text)",
        "eval(text)",
        "exec(text)",
        "f = eval",
        "__import__(name)",
        "import subprocess\nsubprocess.run(order, shell=True)",
        "from subprocess import Popen\nPopen(order, shell=given)",
        "import os\nos.system(order)",
        "from os import popen\npopen(order)",
        "archive.extractall(folder)",
        "import shutil\nshutil.unpack_archive(path)",
        "import blosc2\nblosc2.open(path)",
        "import blosc2\nblosc2.open(path, deserialize='full')",
        "import blosc2\nblosc2.unpack_array(content)",
        "import torch\ntorch.jit.load(path)",
    ],
)
def test_planted_offences_are_seen(planted: str) -> None:
    assert list(offences(planted))


@pytest.mark.parametrize(
    "harmless",
    [
        "import torch\ntorch.load(path, map_location='cpu', weights_only=True)",
        "import numpy as np\nnp.load(path, allow_pickle=False)",
        "import yaml\nyaml.safe_load(text)",
        "import subprocess\nsubprocess.run(order, check=True)",
        "import json\njson.load(file)",
        "model.eval()",
        "import re\nre.compile(text)",
        "import torch\nnetwork = torch.compile(network)",
        "import blosc2\nblosc2.open(path, mode='r', deserialize='safe')",
    ],
)
def test_harmless_calls_are_not(harmless: str) -> None:
    assert not list(offences(harmless))
