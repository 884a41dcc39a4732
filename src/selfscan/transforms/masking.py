"""In-painting and out-painting: windows of a crop, or all but windows, lose their content.

The release fills with noise, independent for every voxel; the papers describe constants
(Zhou et al., MICCAI 2019; Medical Image Analysis 67, 2021).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from selfscan.transforms.random import KeyedGenerator
from selfscan.transforms.windows import Size, WindowRange, Windows

Fill = Literal["noise", "constant"]

MOST_WINDOWS = 31  # as many bits as a positive int32 has


@dataclass(frozen=True)
class PaintParameters:
    """Where and with what to paint.

    Attributes:
        windows: n boxes of every example.
        used: How many of them count, the first ones, shape (B,), int64.
        seeds: Of the random fill, shape (B,), int64.
    """

    windows: Windows
    used: Tensor
    seeds: Tensor


def inpainting_range(
    size: Size, *, window: tuple[float, float] = (1 / 6, 1 / 3), border: int = 3
) -> WindowRange:
    """The published windows to paint.

    Args:
        size: Voxels of the crop along (X, Y, Z).
        window: Shortest and longest edge: below 1 as shares of the axis, rounded down to voxels,
            from 1 on in voxels.
        border: Voxels at the faces that are never painted.

    Raises:
        ValueError: An axis is too short, below 8 voxels by default.
    """
    return WindowRange(size, _voxels(size, window[0]), _voxels(size, window[1]), border)


def outpainting_range(
    size: Size, *, removed: tuple[float, float] = (3 / 7, 4 / 7), border: int = 3
) -> WindowRange:
    """The published windows to keep.

    Args:
        size: Voxels of the crop along (X, Y, Z).
        removed: Least and most that a window leaves out of an axis: below 1 as shares of it,
            rounded down to voxels, from 1 on in voxels.
        border: Voxels at the faces that are always painted.

    Raises:
        ValueError: An axis is too short, below 14 voxels by default.
    """
    least, most = _voxels(size, removed[0]), _voxels(size, removed[1])
    smallest = (size[0] - most[0], size[1] - most[1], size[2] - most[2])
    largest = (size[0] - least[0], size[1] - least[1], size[2] - least[2])
    return WindowRange(size, smallest, largest, border)


def draw_painting(
    random: KeyedGenerator,
    window_range: WindowRange,
    *,
    least: int = 0,
    most: int = 5,
    continue_probability: float = 0.95,
) -> PaintParameters:
    """Draw windows to paint (published: 0 to 5) or to keep (published: 1 to 5).

    Args:
        random: One stream an example.
        window_range: Which windows may be drawn.
        least: Windows that are always there.
        most: Windows at most.
        continue_probability: Of going on, before each window after the first `least`.

    Raises:
        ValueError: The numbers of windows do not rise, or there are more than 31.
    """
    if not 0 <= least <= most <= MOST_WINDOWS or most == 0:
        raise ValueError(
            f"windows must number 0 <= least <= most <= {MOST_WINDOWS} and most >= 1, "
            f"got least {least} and most {most}"
        )
    windows = window_range.draw(random, most)
    more = random.bernoulli(continue_probability, most - least).cumprod(1).sum(1)
    return PaintParameters(windows, more + least, random.bits())


def apply_inpainting(
    volumes: Tensor, parameters: PaintParameters, *, fill: Fill = "noise"
) -> Tensor:
    """Paint the windows of volumes (B, C, X, Y, Z), float32, alike in all channels.

    Noise is uniform in [0, 1); a constant is one such number a window, later windows on top.
    """
    covering = _covering(parameters, volumes.shape[2:])
    random = KeyedGenerator(parameters.seeds)
    if fill == "noise":
        paint = random.uniform(1, *volumes.shape[2:])
    else:
        levels = random.uniform(parameters.windows.starts.shape[1])
        last = torch.frexp(covering.to(torch.float64)).exponent.sub_(1).clamp_min_(0)
        paint = levels.gather(1, last.flatten(1).long()).view(covering.shape)
    return torch.lerp(volumes, paint, covering.clamp_(max=1).to(volumes.dtype))


def apply_outpainting(
    volumes: Tensor, parameters: PaintParameters, *, fill: Fill = "noise"
) -> Tensor:
    """Paint all but the windows of volumes (B, C, X, Y, Z), float32.

    Noise is uniform in [0, 1), another number in every channel; a constant is one such number.
    """
    covering = _covering(parameters, volumes.shape[2:])
    random = KeyedGenerator(parameters.seeds)
    if fill == "noise":
        paint = random.uniform(*volumes.shape[1:])
    else:
        paint = random.uniform(1, 1, 1, 1).expand_as(volumes).clone()
    return paint.lerp_(volumes, covering.clamp_(max=1).to(volumes.dtype))


def _voxels(size: Size, length: float) -> Size:
    """A length along each axis, given as a share of the axis or, from 1 on, in voxels."""
    # Rounded down as exact fractions are: 3/7 of 7 is 3.
    x, y, z = (math.floor((length if length >= 1 else n * length) + 1e-9) for n in size)
    return x, y, z


def _covering(parameters: PaintParameters, size: Sequence[int]) -> Tensor:
    """Which windows cover a voxel: bit k for window k, shape (B, 1, X, Y, Z), int32."""
    starts, count = parameters.windows.starts, parameters.windows.starts.shape[1]
    ends = starts + parameters.windows.sizes
    numbers = torch.arange(count, device=starts.device)
    bits = torch.where(numbers < parameters.used[:, None], 1 << numbers, 0)[..., None]
    x, y, z = (
        torch.where(
            (place >= starts[..., axis, None]) & (place < ends[..., axis, None]), bits, 0
        ).sum(1, dtype=torch.int32)
        for axis, place in enumerate(torch.arange(length, device=starts.device) for length in size)
    )
    return (x[:, :, None, None] & y[:, None, :, None] & z[:, None, None, :])[:, None]
