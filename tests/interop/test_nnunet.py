"""A real nnU-Net reads the export, computes the same maps, and fine-tunes.

Skipped where there is none: `requirements.txt` beside this file says how to install one, and the
environment variable SELFSCAN_NNUNET_PYTHON where it is.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from small_models import PLAIN, RESENC, write_model

from selfscan.exits.export import export
from selfscan.exits.leaving import leaving
from selfscan.networks.nnunet import NNUNetConfig

SCRIPT = Path(__file__).parent / "fine_tune_in_nnunet.py"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def nnunet() -> str:
    """The Python of an environment that has nnU-Net."""
    pytest.importorskip("dynamic_network_architectures", reason="the extra nnunet is not installed")
    python = os.environ.get("SELFSCAN_NNUNET_PYTHON")
    if python is None:
        pytest.skip(f"no nnU-Net: set SELFSCAN_NNUNET_PYTHON as {SCRIPT.parent.name} says")
    return python


@pytest.mark.parametrize("network", [RESENC, PLAIN], ids=["resenc", "plain"])
@pytest.mark.parametrize("way", ["weights", "plan"])
def test_nnunet_computes_the_same_and_fine_tunes(
    nnunet: str, tmp_path: Path, network: NNUNetConfig, way: str
) -> None:
    if way == "plan":
        probe = "import importlib.util as u; import nnunetv2.experiment_planning as e; "
        probe += "raise SystemExit(u.find_spec('nnunetv2.experiment_planning.like_nnssl') is None)"
        if subprocess.run([nnunet, "-c", probe], capture_output=True, check=False).returncode:
            pytest.skip("this nnU-Net reads no adaptation plans; its repository does")
    run = write_model(
        tmp_path / "run", network, segmentation=way == "weights", spacing=(1.0, 1.0, 1.0)
    )
    out = export(run, tmp_path / "out", to="nnunet")
    model = leaving(run)
    volume = torch.rand(16, 24, 8, generator=torch.Generator().manual_seed(2))
    np.save(tmp_path / "array.npy", volume.numpy())
    command = [nnunet, str(SCRIPT), str(tmp_path), str(out), way]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with torch.no_grad():
        ours = model.backbone.encode(volume[None, None])
    theirs = np.load(tmp_path / "maps.npz")
    assert len(theirs.files) == len(ours)
    for level, name in zip(ours, theirs.files, strict=True):
        np.testing.assert_allclose(theirs[name], level[0].numpy(), atol=1e-4, rtol=1e-4)
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["moved"] > len(model.backbone.state_dict())
    assert len(told["losses"]) == 1
    assert np.isfinite(told["losses"]).all()
    assert told["trainer"] == ("PretrainedTrainer" if way == "plan" else "nnUNetTrainer")
