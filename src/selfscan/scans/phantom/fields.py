"""Sampling grids in millimetres, and smooth random fields that do not depend on the grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

# float32 throughout, which the types of numpy cannot follow through arithmetic.
Volume = npt.NDArray[np.floating[Any]]
Triple = tuple[float, float, float]

# The control lattice reaches this far from the center, so that a wider field shows the same torso.
_REACH_MM = (260.0, 220.0, 340.0)
# Mean of the squared weights of a cubic B-spline: 151 / 315.
_VARIANCE = 151.0 / 315.0


@dataclass(frozen=True)
class Grid:
    """A regular RAS+ grid around the center of the torso.

    Args:
        shape: Voxels along (X, Y, Z).
        spacing_mm: Voxel size.
    """

    shape: tuple[int, int, int]
    spacing_mm: Triple

    @classmethod
    def covering(cls, field_mm: Triple, spacing_mm: Triple) -> Grid:
        """The grid whose voxels fill the field as nearly as whole voxels can.

        Raises:
            ValueError: A spacing or a field is not positive, or fewer than eight voxels fit.
        """
        if min(spacing_mm) <= 0 or min(field_mm) <= 0:
            raise ValueError(
                f"spacing_mm and field_mm must be positive, got {spacing_mm} and {field_mm}"
            )
        x, y, z = (round(f / s) for f, s in zip(field_mm, spacing_mm, strict=True))
        if min(x, y, z) < 8:
            raise ValueError(
                f"a field of {field_mm} mm at {spacing_mm} mm has {(x, y, z)} voxels; "
                "at least 8 along each axis are needed"
            )
        return cls((x, y, z), spacing_mm)

    @property
    def axes(self) -> tuple[npt.NDArray[np.float32], ...]:
        """Voxel centers along each axis, in mm from the center."""
        return tuple(
            ((np.arange(n) - (n - 1) / 2) * s).astype(np.float32)
            for n, s in zip(self.shape, self.spacing_mm, strict=True)
        )

    @property
    def affine(self) -> npt.NDArray[np.float64]:
        """Voxel to RAS+ millimetres, shape (4, 4)."""
        affine = np.diag([*self.spacing_mm, 1.0])
        affine[:3, 3] = [axis[0] for axis in self.axes]
        return affine


def smooth_field(random: np.random.Generator, grid: Grid, *, scale_mm: float) -> Volume:
    """A normal field of mean 0 and variance 1 that varies over about `scale_mm`, shape (X, Y, Z).

    Normal numbers on a lattice of that pitch are interpolated by cubic B-splines, one axis at a
    time; the lattice does not depend on the grid, so two grids sample the same field.
    """
    lattices = [np.arange(-reach, reach + scale_mm, scale_mm) for reach in _REACH_MM]
    field = random.standard_normal([len(lattice) for lattice in lattices], dtype=np.float32)
    for positions, lattice in zip(grid.axes, lattices, strict=True):
        weights = _cubic_b_spline((positions[:, None] - lattice) / scale_mm)
        # Takes the first axis away and adds the sampled one last: three rounds restore the order.
        field = np.tensordot(field, weights, axes=(0, 1))
    return np.asarray(field / _VARIANCE**1.5)


def fractal_field(random: np.random.Generator, grid: Grid, *, scales_mm: Sequence[float]) -> Volume:
    """Smooth fields of several scales in equal parts, variance 1, shape (X, Y, Z)."""
    total = smooth_field(random, grid, scale_mm=scales_mm[0])
    for scale_mm in scales_mm[1:]:
        total += smooth_field(random, grid, scale_mm=scale_mm)
    total /= len(scales_mm) ** 0.5
    return total


def _cubic_b_spline(offsets: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    away = np.abs(offsets)
    near = 2 / 3 - away**2 + away**3 / 2
    far = np.clip(2 - away, 0, None) ** 3 / 6
    return np.where(away < 1, near, far).astype(np.float32)
