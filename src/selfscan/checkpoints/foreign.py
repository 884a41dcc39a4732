"""Tensors from a file that another program wrote with PyTorch; no code in it can run."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from selfscan.errors import SelfscanError

# Training scripts keep a score beside the weights as a NumPy number; to read one runs no code.
_number = np.float64().__reduce__()[0]
_NUMBERS: list[Any] = [
    *((_number, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    np.dtype,
    *(type(np.dtype(kind)) for kind in (np.float32, np.float64)),
]


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.pt` or `.pth` file by name.

    They are those of its `state_dict`, `model` or `network_weights`, where it has one.

    Raises:
        SelfscanError: There is none, it is damaged, or it holds objects that need code to read.
    """
    return tensors_in(read_content(path))


def tensors_in(content: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors by name of what a file holds."""
    for root in ("state_dict", "model", "network_weights"):
        if isinstance(content.get(root), Mapping):
            content = content[root]
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}


def read_content(path: Path) -> Mapping[str, Any]:
    """All that a `.pt` or `.pth` file holds by name, tensors and what lies beside them.

    Raises:
        SelfscanError: There is none, it is damaged, or it holds objects that need code to read.
    """
    path = Path(path)
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise SelfscanError(f"{path}: found {found}; expected a .pt or .pth file of weights")
    if found := inflating(path):
        raise SelfscanError(
            f"{path}: found {found}; expected tensors stored as they are, as torch.save writes "
            "them; save the network's state dictionary where you trust the file"
        )
    try:
        with torch.serialization.safe_globals(_NUMBERS):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged file leads the unpickling to
        code = re.search(r"GLOBAL ([\w.]+)", str(error))
        found = f"{code[1]}, which could run code" if code else "no readable file of PyTorch"
        raise SelfscanError(
            f"{path}: found {found}; expected tensors by name, as torch.save writes them; copy it "
            "again, or save the network's state dictionary where you trust the file"
        ) from error
    if not isinstance(content, Mapping):
        raise SelfscanError(
            f"{path}: found a {type(content).__name__}; expected tensors by name; save the "
            "network's state dictionary"
        )
    return content


def inflating(path: Path) -> str:
    """Why an archive of PyTorch would take more memory than its file holds; empty if it would not.

    PyTorch stores tensors as they are, and takes what the archive claims before it reads.
    """
    try:
        with zipfile.ZipFile(path) as file:
            members = file.infolist()
    except (zipfile.BadZipFile, OSError, NotImplementedError):
        return ""  # no archive: of the older format, or damaged, which the reader says
    claimed = sum(member.file_size for member in members)
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        return "an archive of compressed parts"
    held = path.stat().st_size
    return f"{held:,} bytes that claim {claimed:,} bytes of parts" if claimed > held else ""
