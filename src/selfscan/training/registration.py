"""The map from one scan to another: two crops, a matrix and a displacement, as places in mm."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import map_coordinates

Affine = npt.NDArray[np.float64]
Places = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Registration:
    """From places of the fixed scan to the same anatomy in the moving one, both in mm in RAS+.

    A place is looked up in the voxels of the fixed crop and displaced there; the matrix takes it to
    the voxels of the moving crop. Crops may lie anywhere and have any spacing. Outside the fixed
    crop the displacement of its nearest voxel goes on.

    Attributes:
        fixed: Voxels of the fixed crop to mm, (4, 4).
        moving: Voxels of the moving crop to mm, (4, 4).
        matrix: Displaced voxels of the fixed crop to voxels of the moving one, (4, 4).
        displacements: In voxels of the fixed crop along (X, Y, Z), shape (3, X, Y, Z).
    """

    fixed: Affine
    moving: Affine
    matrix: Affine
    displacements: npt.NDArray[Any]

    def __call__(self, places: npt.NDArray[Any]) -> Places:
        """The places of the moving scan, (N, 3), for places (N, 3) of the fixed one."""
        voxels = apply(np.linalg.inv(self.fixed), places)
        displaced = np.stack(
            [
                along + map_coordinates(part, voxels.T, order=1, mode="nearest")
                for part, along in zip(self.displacements, voxels.T, strict=True)
            ],
            axis=1,
        )
        return apply(self.moving @ self.matrix, displaced)

    def affine_only(self) -> Registration:
        """The same without the displacement."""
        return replace(self, displacements=np.zeros_like(self.displacements))

    def identity(self) -> Registration:
        """The two crops laid on each other, voxel on voxel."""
        return replace(self.affine_only(), matrix=np.eye(4))

    def determinants(self) -> npt.NDArray[np.float64]:
        """By how much space grows from the fixed to the moving scan, at each voxel, (X, Y, Z).

        The determinant of the Jacobian of the whole map, by forward differences, to which the voxel
        behind the last is equal. Central ones would skip every second voxel and miss a displacement
        that swings from one to the next.
        """
        steps = [
            np.diff(self.displacements, axis=axis, append=self.displacements.take([-1], axis))
            for axis in (1, 2, 3)
        ]
        jacobians = np.eye(3) + np.stack(steps, axis=1).transpose(2, 3, 4, 0, 1)
        outer = self.moving @ self.matrix @ np.linalg.inv(self.fixed)
        determinants: npt.NDArray[np.float64] = np.linalg.det(jacobians) * np.linalg.det(outer)
        return determinants

    def folding(self) -> float:
        """The share of the fixed crop's voxels where space does not grow but folds or vanishes."""
        return float((self.determinants() <= 0).mean())


def apply(affine: npt.NDArray[np.floating[Any]], places: npt.NDArray[Any]) -> Places:
    """Map places (N, 3) by an affine (4, 4)."""
    mapped: Places = places @ affine[:3, :3].T + affine[:3, 3]
    return mapped
