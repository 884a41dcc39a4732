"""Values that training can bear: images finite and varied, labels whole and not negative."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from selfscan.errors import ScanError
from selfscan.scans.scan import Scan

_IGNORE_MARK = 255
_FEW, _MANY, _SAMPLE = 16, 1000, 100_000
_LARGEST_LABEL = int(np.iinfo(np.int16).max)


def require_values(scan: Scan) -> Scan:
    """Refuse images that hold nothing; replace single NaN and Inf by the least finite value.

    Raises:
        ScanError: No finite value, or one value everywhere.
    """
    if scan.voxels.dtype.kind == "f":
        finite = np.isfinite(scan.voxels)
        missing = int(finite.size - np.count_nonzero(finite))
        if missing == finite.size:
            raise ScanError(
                scan.path,
                found="NaN or infinity in every voxel",
                expected="finite values",
                remedy="export the scan again",
            )
        if missing:
            least = scan.voxels.min(initial=np.inf, where=finite)
            scan = replace(scan, voxels=np.where(finite, scan.voxels, least)).with_warnings(
                f"{missing} voxels of NaN or infinity: replaced by the least finite value"
            )
    low, high = scan.voxels.min(), scan.voxels.max()
    if low == high:
        raise ScanError(
            scan.path,
            found=f"the value {low:g} in every voxel",
            expected="an image",
            remedy="leave it out, or export it again",
        )
    few = _few_values(scan.voxels)
    if few:
        scan = scan.with_warnings(f"{few} values in all voxels: is it a label map?")
    return scan


def _few_values(voxels: npt.NDArray[Any]) -> int:
    """How many values there are where they are as few as in a label map; 0 where they are more."""
    step = max(1, voxels.size // _SAMPLE)
    values = np.unique(voxels.ravel(order="K")[::step])
    few = len(values) <= _FEW and voxels.size >= _MANY and np.isin(voxels, values).all()
    return len(values) if few else 0


def require_labels(scan: Scan) -> Scan:
    """A label map (1, X, Y, Z) in uint8 or int16; a stray 255 is told.

    Raises:
        ScanError: A value that is NaN, fractional, negative or above 32,767.
    """
    values = scan.voxels
    if values.dtype.kind == "f":
        _refuse_any(scan, ~np.isfinite(values), "NaN or infinity")
        _refuse_any(scan, values != np.floor(values), "fractional")
    _refuse_any(scan, values < 0, "negative")
    _refuse_any(scan, values > _LARGEST_LABEL, f"above {_LARGEST_LABEL}")
    labels = values.astype(np.uint8 if values.max() <= np.iinfo(np.uint8).max else np.int16)
    scan = replace(scan, voxels=labels)
    stray = int(np.count_nonzero(labels == _IGNORE_MARK))
    if not stray or (labels == _IGNORE_MARK - 1).any():
        return scan
    return scan.with_warnings(
        f"{stray} voxels of label 255, often a mark for `ignore`: kept as a class"
    )


def _refuse_any(scan: Scan, wrong: npt.NDArray[Any], name: str) -> None:
    if not wrong.any():
        return
    raise ScanError(
        scan.path,
        found=f"label values that are {name}, such as {scan.voxels[wrong][0]:g}",
        expected=f"whole numbers from 0 to {_LARGEST_LABEL}",
        remedy="map them to whole numbers; were they resampled linearly, or is this an image?",
    )
