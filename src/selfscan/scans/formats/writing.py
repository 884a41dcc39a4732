"""NIfTI out: an image that lies where the scan it belongs to lies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt

from selfscan.files import written_atomically
from selfscan.scans.preparation.grid import shift_mm

_SCANNER = 1  # NIfTI's code of coordinates in the scanner
_QFORM_TOLERANCE = 0.01  # voxels


def write_nifti(path: Path, volume: npt.NDArray[Any], affine: npt.NDArray[np.float64]) -> None:
    """Write a volume in mm, its place as sform and, where one can say it, as qform.

    Args:
        path: Ends with .nii or .nii.gz.
        volume: Shape (X, Y, Z), or (X, Y, Z, N) for a vector of N numbers in each voxel.
        affine: Voxel indices to mm in RAS+.
    """
    vectors = volume.ndim == 4
    voxels = volume[:, :, :, None] if vectors else volume
    image = nibabel.Nifti1Image(voxels, affine, dtype=volume.dtype)
    image.header.set_xyzt_units("mm")
    if vectors:
        image.header.set_intent("vector")
    image.set_sform(affine, code=_SCANNER)
    image.set_qform(affine, code=_SCANNER)
    # A qform is a rotation: it cannot hold a sheared grid.
    x, y, z = volume.shape[:3]
    voxel = np.linalg.norm(affine[:3, :3], axis=0).min()
    if shift_mm((x, y, z), image.get_qform(), affine) > _QFORM_TOLERANCE * voxel:
        image.set_qform(None)
    with written_atomically(path) as temporary:
        nibabel.save(image, temporary)


def write_displacements(
    path: Path, displacements: npt.NDArray[np.float32], affine: npt.NDArray[np.float64]
) -> None:
    """Write displacements as ITK and ANTs read them.

    In the file they are vectors in mm towards left, back and up (LPS), float32, with the intent
    1007 (vector), which ITK takes as they are. Of the intent 1006 (displacement) newer versions
    of ITK turn the signs of the first two components, older ones do not.

    Args:
        path: Ends with .nii or .nii.gz.
        displacements: In mm towards right, front and up, shape (X, Y, Z, 3).
        affine: Voxel indices of their grid to mm in RAS+.
    """
    write_nifti(path, displacements * np.array([-1, -1, 1], dtype=np.float32), affine)
