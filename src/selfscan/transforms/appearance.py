"""Random changes of appearance that leave each voxel in its place: sharpness, noise, window.

An example is blurred, sharpened or left, then noise is added, then a window of intensities is drawn
and scaled to [0, 1]. Lengths of intensity are given in Hounsfield units; a channel that holds
percentile-scaled intensities (MR) changes by the same shares of its own range.

Source: Goncharov et al., "vox2vec", MICCAI 2023, arXiv 2307.14725; the numbers are those of its
release.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from selfscan.transforms.filters import WIDEST, gaussian_blur, sharpen
from selfscan.transforms.intensity import to_range
from selfscan.transforms.random import KeyedGenerator

Range = tuple[float, float]


@dataclass(frozen=True)
class AppearanceConfig:
    """How often and how strongly appearance changes; the defaults are published.

    Attributes:
        filter_probability: How often a crop is blurred or sharpened, each half of the time.
        blur: Standard deviation of the blur in voxels, in the axial plane.
        sharpen_blur: Standard deviation of the blur before sharpening, in voxels.
        sharpen_strength: Factor on what a finer blur takes away.
        noise_probability: How often white noise is added.
        noise_hu: Largest standard deviation of the noise.
        window_probability: How often the window is drawn.
        window_low_hu: Where the drawn window starts.
        window_high_hu: Where the drawn window ends.
    """

    filter_probability: float = 0.5
    blur: Range = (0.25, 1.5)
    sharpen_blur: Range = (0.5, 1.0)
    sharpen_strength: Range = (10.0, 30.0)
    noise_probability: float = 0.5
    noise_hu: float = 30.0
    window_probability: float = 0.8
    window_low_hu: Range = (-1350.0, -1000.0)
    window_high_hu: Range = (300.0, 1000.0)

    def __post_init__(self) -> None:
        """Refuse values without a meaning."""
        for name in ("filter_probability", "noise_probability", "window_probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], got {getattr(self, name)}")
        for name in ("blur", "sharpen_blur", "sharpen_strength", "window_low_hu", "window_high_hu"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} must not fall, got {(low, high)}")
        for name in ("blur", "sharpen_blur"):
            if not 0 <= getattr(self, name)[0] <= getattr(self, name)[1] <= WIDEST:
                raise ValueError(
                    f"{name} must lie in [0, {WIDEST}] voxels, got {getattr(self, name)}"
                )
        if self.noise_hu < 0:
            raise ValueError(f"noise_hu must not be negative, got {self.noise_hu}")
        if self.window_low_hu[1] >= self.window_high_hu[0]:
            raise ValueError(
                "a window must start below its end: window_low_hu must lie below window_high_hu, "
                f"got {self.window_low_hu} and {self.window_high_hu}"
            )


@dataclass(frozen=True)
class AppearanceParameters:
    """What was drawn for a batch of crops; filters and noise hit some crops only.

    Attributes:
        blurred: Numbers of the crops that are blurred, int64.
        blur: Their standard deviations in voxels.
        sharpened: Numbers of the crops that are sharpened, int64.
        sharpen_blur: Standard deviations of their first blur, in voxels.
        sharpen_strength: Their factors.
        noisy: Numbers of the crops with noise, int64.
        noise: What is added to them, in Hounsfield units, (n, C, X, Y, Z).
        low_hu: Where each crop's window starts; (B,).
        high_hu: Where it ends; (B,).
    """

    blurred: Tensor
    blur: Tensor
    sharpened: Tensor
    sharpen_blur: Tensor
    sharpen_strength: Tensor
    noisy: Tensor
    noise: Tensor
    low_hu: Tensor
    high_hu: Tensor


def draw_appearance(
    random: KeyedGenerator,
    shape: tuple[int, ...],
    config: AppearanceConfig,
    *,
    window_hu: Range,
) -> AppearanceParameters:
    """Draw for a batch of crops of `shape` (C, X, Y, Z).

    Args:
        random: A stream a crop.
        shape: Of a crop.
        config: How much.
        window_hu: The window of crops for which none is drawn.
    """
    filtered = random.bernoulli(config.filter_probability)
    sharp = random.bernoulli(0.5)
    noise = random.bernoulli(config.noise_probability)
    windowed = random.bernoulli(config.window_probability)
    blurred, sharpened, noisy = (
        hit.nonzero().flatten() for hit in (filtered & ~sharp, filtered & sharp, noise)
    )
    blurring, sharpening, adding = map(random.branch, (blurred, sharpened, noisy))
    deviation = adding.uniform() * config.noise_hu
    return AppearanceParameters(
        blurred,
        _between(blurring, config.blur),
        sharpened,
        _between(sharpening, config.sharpen_blur),
        _between(sharpening, config.sharpen_strength),
        noisy,
        adding.normal(*shape).mul_(deviation.view(-1, 1, 1, 1, 1)),
        torch.where(windowed, _between(random, config.window_low_hu), window_hu[0]),
        torch.where(windowed, _between(random, config.window_high_hu), window_hu[1]),
    )


def apply_appearance(
    volumes: Tensor, hounsfield: Tensor, parameters: AppearanceParameters, *, window_hu: Range
) -> Tensor:
    """Change stored crops as drawn.

    Args:
        volumes: Stored voxels (B, C, X, Y, Z), int16; X and Y at least the filters' radius.
        hounsfield: Which channels hold Hounsfield units (B, C), bool.
        parameters: What was drawn.
        window_hu: The range that other channels' own range from 0 to 1 stands for.

    Returns:
        Intensities in [0, 1], float32, shape (B, C, X, Y, Z).
    """
    p, width = parameters, window_hu[1] - window_hu[0]
    # Filters do not mind a scale, so noise and window are brought to that of the base window.
    units = to_range(volumes, hounsfield, window_hu=window_hu)
    if len(p.blurred):
        blurred = _each_channel(units[p.blurred], gaussian_blur, p.blur)
        units.index_copy_(0, p.blurred, blurred)
    if len(p.sharpened):
        sharpened = _each_channel(units[p.sharpened], sharpen, p.sharpen_blur, p.sharpen_strength)
        units.index_copy_(0, p.sharpened, sharpened)
    units.index_add_(0, p.noisy, p.noise, alpha=1 / width)
    low, high = (
        ((edge - window_hu[0]) / width).view(-1, 1, 1, 1, 1) for edge in (p.low_hu, p.high_hu)
    )
    return units.sub_(low).div_(high - low).clamp_(0.0, 1.0)


def _each_channel(volumes: Tensor, change: Callable[..., Tensor], *by_example: Tensor) -> Tensor:
    channels = volumes.shape[1]
    spread = (values.repeat_interleave(channels) for values in by_example)
    return change(volumes.flatten(0, 1), *spread).view_as(volumes)


def _between(random: KeyedGenerator, limits: Range) -> Tensor:
    low, high = limits
    return low + (high - low) * random.uniform()
