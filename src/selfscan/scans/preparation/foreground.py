"""Which voxels lie in the body: where crops are worth drawing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Mask = npt.NDArray[np.bool_]

SKIN_HU = -500  # between air and skin
SIGNAL = 0.1  # of the percentile range, for scans without Hounsfield units
_SIDE = 192  # larger masks are thinned to this many voxels a side while parts are found
_KEPT_PART = 0.25  # of the largest part: both legs, not the table


def body_mask(volume: npt.NDArray[np.int16], hounsfield: tuple[bool, ...], *, unit: int) -> Mask:
    """Find the body in stored voxels.

    A voxel counts when any channel is above -500 HU, or above 10 % of its percentile range. A small
    opening parts the body from the table (CT only), parts smaller than a quarter of the largest are
    dropped, and holes are filled, slice by slice too, so that lungs belong to the body.

    Args:
        volume: Stored voxels (C, X, Y, Z).
        hounsfield: Whether each channel holds Hounsfield units.
        unit: The stored value of the upper percentile.

    Returns:
        Shape (X, Y, Z); all False where nothing was found.
    """
    limits = [SKIN_HU if is_ct else SIGNAL * unit for is_ct in hounsfield]
    bright: Mask = np.zeros(volume.shape[1:], dtype=bool)
    for channel, limit in zip(volume, limits, strict=True):
        bright |= channel > limit
    steps = [-(-length // _SIDE) for length in bright.shape]
    body = bright[tuple(slice(None, None, step) for step in steps)]
    if any(hounsfield):
        body = _opened(body)
    body = _filled(_large_parts(body))
    for axis, step in enumerate(steps):
        if step > 1:
            body = body.repeat(step, axis=axis)
    x, y, z = bright.shape
    return body[:x, :y, :z]


def bounding_box(mask: Mask) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """The smallest box around the True voxels: the first voxel and one past the last."""
    spans = []
    for axis in range(3):
        others = tuple({0, 1, 2} - {axis})
        places = np.flatnonzero(mask.any(axis=others))
        spans.append((int(places[0]), int(places[-1]) + 1))
    (x0, x1), (y0, y1), (z0, z1) = spans
    return (x0, y0, z0), (x1, y1, z1)


def _opened(mask: Mask) -> Mask:
    """Without what is thinner than three voxels in plane, unless nothing else is there."""
    cross = ndimage.generate_binary_structure(3, 1)
    cross[:, :, ::2] = False  # slices may be few and thick
    # Outside counts as body while eroding: a scan that is cut off keeps its border.
    eroded = ndimage.binary_erosion(mask, cross, border_value=1)
    opened: Mask = ndimage.binary_dilation(eroded, cross) & mask
    return opened if opened.any() else mask


def _large_parts(mask: Mask) -> Mask:
    parts, count = ndimage.label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    kept: Mask = (sizes >= _KEPT_PART * sizes.max())[parts]
    kept &= mask
    return kept


def _filled(mask: Mask) -> Mask:
    filled: Mask = ndimage.binary_fill_holes(mask)
    in_plane = ndimage.generate_binary_structure(3, 1)
    in_plane[:, :, ::2] = False
    # One call for all slices: holes cannot reach from one to the next.
    return np.asarray(ndimage.binary_fill_holes(filled, in_plane), dtype=bool)
