"""A scan or its labels moved onto the grid of another, slice by slice: memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import map_coordinates

from selfscan.training.registration import Affine, Places, Registration, apply


@dataclass(frozen=True, eq=False)
class Grid:
    """The voxels of a scan.

    Attributes:
        shape: How many along its axes (I, J, K).
        affine: Their indices to mm in RAS+, (4, 4).
    """

    shape: tuple[int, int, int]
    affine: Affine


def move_onto(
    grid: Grid,
    volume: npt.NDArray[Any],
    affine: Affine,
    registration: Registration,
    *,
    outside: Sequence[float],
    order: int = 1,
) -> npt.NDArray[Any]:
    """Move a volume onto a grid of the fixed scan, with one interpolation.

    A voxel is a box around its center: between the outermost centers and the faces of the volume
    its border values go on, beyond the faces lies `outside`. ITK has the same rule.

    Args:
        grid: Of the fixed scan, or any other in its space.
        volume: Of the moving scan, (C, X, Y, Z).
        affine: Its voxels to mm.
        registration: From the fixed to the moving scan.
        outside: What lies around each channel.
        order: 1 interpolates linearly, 0 takes the nearest voxel, as labels need.

    Returns:
        Shape (C, I, J, K), of the volume's type; whole numbers are rounded.
    """
    moved = np.empty((len(volume), *grid.shape), dtype=volume.dtype)
    whole_numbers = np.issubdtype(volume.dtype, np.integer)
    to_voxels = np.linalg.inv(affine)
    size = np.array(volume.shape[1:])
    for i, _, places in _slices(grid, registration):
        voxels = apply(to_voxels, places)
        inside = ((voxels >= -0.5) & (voxels < size - 0.5)).all(axis=1)
        for channel, around, result in zip(volume, outside, moved, strict=True):
            values = map_coordinates(channel, voxels.T, np.float64, order, mode="nearest")
            values[~inside] = around
            result[i] = (np.rint(values) if whole_numbers else values).reshape(result[i].shape)
    return moved


def displacement_field(grid: Grid, registration: Registration) -> npt.NDArray[np.float32]:
    """How far from each voxel of a grid of the fixed scan its place in the moving one is.

    In mm towards right, front and up, shape (I, J, K, 3).
    """
    field = np.empty((*grid.shape, 3), dtype=np.float32)
    for i, start, end in _slices(grid, registration):
        field[i] = (end - start).reshape(field[i].shape)
    return field


def _slices(grid: Grid, registration: Registration) -> Iterator[tuple[int, Places, Places]]:
    """For each slice across the first axis, its places in mm, and those in the moving scan."""
    rows = np.stack(np.meshgrid([0.0], *map(np.arange, grid.shape[1:]), indexing="ij"), axis=-1)
    for i in range(grid.shape[0]):
        places = apply(grid.affine, rows.reshape(-1, 3) + np.array([i, 0, 0]))
        yield i, places, registration(places)
