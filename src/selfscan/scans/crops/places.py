"""Voxels to draw crops around."""

from __future__ import annotations

from collections.abc import Iterable
from operator import sub

import numpy as np
import numpy.typing as npt

from selfscan.scans.crops.examples import Crop
from selfscan.scans.record import Voxel
from selfscan.scans.store import Store

# A foreground of a tenth of its box is missed so often once in 800 draws; then its box is searched.
_TRIES = 64


def foreground_voxel(store: Store, scan: int, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """A voxel (X, Y, Z) of a scan's body, each equally likely; tries voxels of the body's box."""
    first, past = store.foreground_box(scan)
    for _ in range(_TRIES):
        x, y, z = map(int, map(random.integers, first, past))
        if store.read_foreground(scan, (x, y, z), (1, 1, 1)).item():
            return np.array((x, y, z), dtype=np.int64)
    extent = np.subtract(past, first)
    inside = np.flatnonzero(store.read_foreground(scan, first, voxel(extent)))
    chosen = inside[random.integers(len(inside))]
    corner = np.array(first, dtype=np.int64)
    found: npt.NDArray[np.int64] = corner + np.stack(np.unravel_index(chosen, extent))
    return found


def moved_inside(start: Iterable[int], shape: Voxel, size: Voxel) -> Voxel:
    """The start nearest to `start` of a crop that lies inside a scan.

    Along an axis on which the scan is smaller than the crop it lies centered in it.
    """
    rooms = map(sub, shape, size)
    x, y, z = (
        min(max(int(at), 0), room) if room >= 0 else room // 2
        for at, room in zip(start, rooms, strict=True)
    )
    return x, y, z


def laid_at(anchor: Crop, shape: Voxel, size: Voxel, *, resized: bool = True) -> Crop:
    """The crop of a size in the middle of an anchor, moved to lie inside its scan of a shape.

    An anchor that covers more voxels than it has once read has the crop cover as many times more;
    without `resized` the crop covers as many as it has.
    """
    extent = size
    if resized:
        sides = zip(anchor.covered, anchor.size, size, strict=True)
        x, y, z = (max(round(covered / has * new), 1) for covered, has, new in sides)
        extent = (x, y, z)
    sides = zip(anchor.start, anchor.covered, extent, strict=True)
    start = (first + (covered - side) // 2 for first, covered, side in sides)
    return Crop(anchor.scan, moved_inside(start, shape, extent), size, extent=extent)


def voxel(position: npt.NDArray[np.int64]) -> Voxel:
    """An array of three as a tuple."""
    x, y, z = position.tolist()
    return x, y, z


def require_size(size: Voxel) -> None:
    """Refuse a crop size without voxels.

    Raises:
        ValueError: It is not three lengths of 1 or more.
    """
    if len(size) != 3 or min(size) < 1:
        raise ValueError(f"size must be three lengths of 1 voxel or more, got {size}")
