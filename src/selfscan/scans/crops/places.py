"""Voxels to draw crops around."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from selfscan.scans.crops.examples import Crop
from selfscan.scans.record import Voxel
from selfscan.scans.store import Store

# A foreground of a tenth of its box is missed so often once in 800 draws; then its box is searched.
_TRIES = 64


def foreground_voxel(store: Store, scan: int, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """A voxel (X, Y, Z) of a scan's body, each equally likely; tries voxels of the body's box."""
    first, past = store[scan].foreground_box
    for _ in range(_TRIES):
        place: npt.NDArray[np.int64] = random.integers(first, past)
        if store.read_foreground(scan, voxel(place), (1, 1, 1)).item():
            return place
    extent = np.subtract(past, first)
    inside = np.flatnonzero(store.read_foreground(scan, first, voxel(extent)))
    chosen = inside[random.integers(len(inside))]
    corner = np.array(first, dtype=np.int64)
    found: npt.NDArray[np.int64] = corner + np.stack(np.unravel_index(chosen, extent))
    return found


def moved_inside(start: npt.NDArray[np.int64], shape: Voxel, size: Voxel) -> Voxel:
    """The start nearest to `start` of a crop that lies inside a scan.

    Along an axis on which the scan is smaller than the crop it lies centered in it.
    """
    room = np.subtract(shape, size)
    return voxel(np.where(room >= 0, np.clip(start, 0, np.maximum(room, 0)), room // 2))


def laid_at(anchor: Crop, shape: Voxel, size: Voxel, *, resized: bool = True) -> Crop:
    """The crop of a size in the middle of an anchor, moved to lie inside its scan of a shape.

    An anchor that covers more voxels than it has once read has the crop cover as many times more;
    without `resized` the crop covers as many as it has.
    """
    share = np.divide(anchor.covered, anchor.size) if resized else np.ones(3)
    extent = np.maximum(np.rint(share * size), 1).astype(np.int64)
    start = anchor.start + (np.array(anchor.covered) - extent) // 2
    covered = voxel(extent)
    return Crop(anchor.scan, moved_inside(start, shape, covered), size, extent=covered)


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
