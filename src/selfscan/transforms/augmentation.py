"""Random changes that keep a scan plausible and its labels right, for training a segmenter.

Geometry first (rotation, scaling and mirroring as one map, one interpolation), then noise, blur,
brightness and contrast, gamma. Draws are kept apart from their application, as everywhere here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from selfscan.spatial_transformer import affine_places, identity_places, rotations, sample
from selfscan.transforms.filters import WIDEST, gaussian_blur
from selfscan.transforms.random import KeyedGenerator

Axis = Literal["x", "y", "z"]


@dataclass(frozen=True)
class AugmentationConfig:
    """How often and how strongly a training crop is changed.

    Attributes:
        affine_probability: How often a crop is rotated and scaled.
        rotation_degrees: Largest rotation about each axis; done in mm, so anatomy is not sheared.
        scaling: Largest factor of size, all axes alike; drawn log-uniformly from 1/f to f.
        stretching: Largest further factor of size of each axis alone, drawn likewise.
        mirror_axes: Axes that are flipped half of the time. None by default: where labels have
            sides (left and right kidney) flipping the x axis teaches to confuse them.
        noise_probability: How often Gaussian noise is added.
        noise: Largest standard deviation of the noise, where the intensity window is 1.
        blur_probability: How often the crop is blurred.
        blur: Largest standard deviation of the Gaussian blur, in voxels.
        brightness_probability: How often brightness and contrast change, each channel by its own.
        brightness: Largest shift of brightness, where the intensity window is 1.
        contrast: Largest factor on the distance from the mean, drawn log-uniformly from 1/f to f.
        gamma_probability: How often v becomes v^gamma, each channel with its own gamma.
        gamma: Largest gamma, drawn log-uniformly from 1/gamma to gamma.
    """

    affine_probability: float = 0.5
    rotation_degrees: float = 15.0
    scaling: float = 1.2
    stretching: float = 1.1
    mirror_axes: tuple[Axis, ...] = ()
    noise_probability: float = 0.15
    noise: float = 0.05
    blur_probability: float = 0.1
    blur: float = 1.0
    brightness_probability: float = 0.3
    brightness: float = 0.1
    contrast: float = 1.25
    gamma_probability: float = 0.3
    gamma: float = 1.5

    def __post_init__(self) -> None:
        """Refuse values without a meaning."""
        for kind in ("affine", "noise", "blur", "brightness", "gamma"):
            probability = getattr(self, f"{kind}_probability")
            if not 0 <= probability <= 1:
                raise ValueError(f"{kind}_probability must lie in [0, 1], got {probability}")
        for name in ("scaling", "stretching", "contrast", "gamma"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is a factor of at least 1, got {getattr(self, name)}")
        for name in ("noise", "blur", "brightness"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if self.blur > WIDEST:
            raise ValueError(f"blur must be at most {WIDEST} voxels, got {self.blur}")
        if not 0 <= self.rotation_degrees <= 180:
            raise ValueError(f"rotation_degrees must lie in [0, 180], got {self.rotation_degrees}")
        if not set(self.mirror_axes) <= set("xyz"):
            raise ValueError(f"mirror_axes must be among x, y and z, got {self.mirror_axes}")


@dataclass(frozen=True)
class AugmentationParameters:
    """What was drawn for a batch; where a change was not drawn, its parameters do nothing.

    Attributes:
        matrix: Place in the result, in mm from the center, to place in the crop; (B, 3, 3).
        moved: Whether the geometry changes; (B,), bool.
        noise: What is added; (B, C, X, Y, Z).
        blur: Standard deviation in voxels; (B,).
        brightness: What is added; (B, C).
        contrast: Factor on the distance from the mean; (B, C).
        gamma: Exponent; (B, C).
    """

    matrix: Tensor
    moved: Tensor
    noise: Tensor
    blur: Tensor
    brightness: Tensor
    contrast: Tensor
    gamma: Tensor


def draw_augmentation(
    random: KeyedGenerator, shape: tuple[int, ...], config: AugmentationConfig
) -> AugmentationParameters:
    """Draw for a batch whose volumes have `shape` (C, X, Y, Z)."""
    channels = shape[0]
    turned = random.bernoulli(config.affine_probability)
    angles = _symmetric(random, 3) * math.radians(config.rotation_degrees)
    sizes = _factor(random, config.scaling, 1) * _factor(random, config.stretching, 3)
    matrix = rotations(angles) / sizes[:, None, :]
    identity = torch.eye(3, device=random.device)
    matrix = torch.where(turned[:, None, None], matrix, identity)
    mirrored = random.bernoulli(0.5, 3)
    for axis, name in enumerate("xyz"):
        mirrored[:, axis] &= name in config.mirror_axes
    matrix = torch.where(mirrored[:, None, :], -matrix, matrix)
    deviation = random.uniform() * config.noise * random.bernoulli(config.noise_probability)
    blur = random.uniform() * config.blur * random.bernoulli(config.blur_probability)
    shaded = random.bernoulli(config.brightness_probability)[:, None]
    return AugmentationParameters(
        matrix=matrix,
        moved=turned | mirrored.any(1),
        noise=random.normal(*shape) * deviation.view(-1, 1, 1, 1, 1),
        blur=blur,
        brightness=_symmetric(random, channels) * config.brightness * shaded,
        contrast=torch.where(shaded, _factor(random, config.contrast, channels), 1.0),
        gamma=torch.where(
            random.bernoulli(config.gamma_probability)[:, None],
            _factor(random, config.gamma, channels),
            1.0,
        ),
    )


def apply_augmentation(
    volumes: Tensor, labels: Tensor | None, spacing: Tensor, parameters: AugmentationParameters
) -> tuple[Tensor, Tensor | None]:
    """Change the volumes, and the labels with them, as drawn.

    Args:
        volumes: Intensities in [0, 1], shape (B, C, X, Y, Z).
        labels: Label maps, shape (B, X, Y, Z), integer; None where voxels have none.
        spacing: Size of a voxel in mm, shape (B, 3).
        parameters: What was drawn.

    Returns:
        Both, of equal shapes and kinds. Outside the crop lie intensity 0 and the background, as
        outside a stored scan.
    """
    volumes, labels = _warp(volumes, labels, spacing, parameters)
    volumes = _blur(volumes + parameters.noise, parameters.blur)
    mean = volumes.mean((2, 3, 4), keepdim=True)
    contrast, brightness, gamma = (
        x[:, :, None, None, None]
        for x in (parameters.contrast, parameters.brightness, parameters.gamma)
    )
    volumes = (volumes * contrast + mean * (1 - contrast) + brightness).clamp(0.0, 1.0)
    return volumes**gamma, labels


def _warp(
    volumes: Tensor, labels: Tensor | None, spacing: Tensor, parameters: AugmentationParameters
) -> tuple[Tensor, Tensor | None]:
    """One map for both: linear for the volumes, nearest for the labels."""
    size = volumes.shape[2:]
    extent = spacing * spacing.new_tensor(size)  # mm to relative places and back
    matrix = parameters.matrix * extent[:, None, :] / extent[:, :, None]
    places = affine_places(functional.pad(matrix, (0, 1)), identity_places(size, like=matrix), size)
    moved = parameters.moved.view(-1, 1, 1, 1)
    warped = torch.where(moved[:, None], sample(volumes, places), volumes)
    if labels is None:
        return warped, None
    carried = sample(labels[:, None].float(), places, mode="nearest")
    return warped, torch.where(moved, carried[:, 0].to(labels.dtype), labels)


def _blur(volumes: Tensor, deviation: Tensor) -> Tensor:
    """Blur the examples with a deviation above 0 along all three axes."""
    chosen = deviation.nonzero()[:, 0]
    if not len(chosen):
        return volumes
    channels = volumes.shape[1]
    blurred = gaussian_blur(
        volumes[chosen].flatten(0, 1),
        deviation[chosen].repeat_interleave(channels),
        axes=(0, 1, 2),
    )
    return volumes.index_copy(0, chosen, blurred.view(-1, *volumes.shape[1:]))


def _symmetric(random: KeyedGenerator, *shape: int) -> Tensor:
    """Uniform in [-1, 1)."""
    return 2 * random.uniform(*shape) - 1


def _factor(random: KeyedGenerator, largest: float, *shape: int) -> Tensor:
    """Log-uniform in [1/largest, largest)."""
    return torch.exp(_symmetric(random, *shape) * math.log(largest))
