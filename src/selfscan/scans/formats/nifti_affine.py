"""Where a NIfTI header says its voxels are: one rule for its three ways of saying it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from nibabel.nifti1 import Nifti1Header
from nibabel.spatialimages import HeaderDataError

from selfscan.scans.preparation.grid import GRID_TOLERANCE, shift_mm

_MILLIMETERS = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
_UNITS = {1: "meters", 3: "microns"}


def nifti_affine(
    header: Nifti1Header, shape: tuple[int, int, int]
) -> tuple[npt.NDArray[np.float64], list[str]]:
    """Voxel indices to RAS+ millimeters, and what was in conflict, guessed or converted.

    The affine is the sform where its code is set, else the qform, else pixdim alone. A header that
    names no unit is in millimeters, as nearly all writers mean it; that is no warning.
    """
    warnings = []
    sform = np.asarray(header.get_sform(), dtype=np.float64) if header["sform_code"] > 0 else None
    qform = _qform(header) if header["qform_code"] > 0 else None
    if sform is not None and qform is not None:
        voxel = np.linalg.norm(sform[:3, :3], axis=0).min()
        if shift_mm(shape, sform, qform) > GRID_TOLERANCE * voxel:
            warnings.append("sform and qform disagree: the sform is taken")
    affine = sform if sform is not None else qform
    if affine is None:
        affine = np.diag([*np.abs(np.asarray(header["pixdim"][1:4], dtype=np.float64)), 1.0])
        warnings.append("neither sform nor qform: spacing is from pixdim, orientation is unknown")
    unit = int(header["xyzt_units"]) & 7
    if unit in _UNITS:
        warnings.append(f"the header is in {_UNITS[unit]}: converted to millimeters")
    elif unit not in _MILLIMETERS:
        warnings.append(f"unknown unit of length (code {unit}): taken as millimeters")
    affine[:3] *= _MILLIMETERS.get(unit, 1.0)
    return affine, warnings


def _qform(header: Nifti1Header) -> npt.NDArray[np.float64] | None:
    """The qform, or None where its quaternion is no rotation."""
    tidy = header.copy()
    # A sign of 0 counts as 1, and spacings have none (nifti1.h, method 2).
    tidy["pixdim"][0] = -1 if header["pixdim"][0] < 0 else 1
    tidy["pixdim"][1:4] = np.abs(header["pixdim"][1:4])
    try:
        return np.asarray(tidy.get_qform(), dtype=np.float64)
    except (ValueError, HeaderDataError):
        return None
