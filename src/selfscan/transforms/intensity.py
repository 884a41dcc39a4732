"""Stored intensities to [0, 1], where every method and network works."""

from __future__ import annotations

import math

import torch
from torch import Tensor

STORED_UNIT = 10_000  # a store holds so much where a percentile-scaled intensity is 1


def to_unit(volumes: Tensor, hounsfield: Tensor, *, window_hu: tuple[float, float]) -> Tensor:
    """Scale stored voxels to [0, 1], clipped; float32. The arguments are those of `to_range`."""
    return to_range(volumes, hounsfield, window_hu=window_hu).clamp_(0.0, 1.0)


def to_range(volumes: Tensor, hounsfield: Tensor, *, window_hu: tuple[float, float]) -> Tensor:
    """Scale stored voxels so that a range of theirs becomes 0 to 1; float32, not clipped.

    Args:
        volumes: Stored voxels (B, C, X, Y, Z), int16.
        hounsfield: Which channels hold Hounsfield units (B, C), bool.
        window_hu: These become 0 and 1 where they do; elsewhere stored 0 and 10,000 become 0 and 1.

    Raises:
        ValueError: The window does not rise.
    """
    low, high = window_hu
    if not low < high:
        raise ValueError(f"window_hu must rise, got {window_hu}")
    channels = hounsfield.to(volumes.device)[..., None, None, None]
    zero = torch.where(channels, float(low), 0.0)
    width = torch.where(channels, float(high - low), float(STORED_UNIT))
    return volumes.to(torch.float32).sub_(zero).div_(width)


def unit_levels(hounsfield: Tensor, *, window_hu: tuple[float, float]) -> int | None:
    """A number n such that `to_unit` gives multiples of 1/n only, as stored voxels are integers.

    Args:
        hounsfield: Which channels hold Hounsfield units (B, C), bool.
        window_hu: As given to `to_unit`.

    Returns:
        The smallest such n that is clear from the kinds of channels; None where there is none.
    """
    low, width = window_hu[0], window_hu[1] - window_hu[0]
    if not hounsfield.any():
        return STORED_UNIT
    if low % 1 or width % 1:
        return None
    return int(width) if hounsfield.all() else math.lcm(int(width), STORED_UNIT)
