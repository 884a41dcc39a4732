"""Gaussian blur and sharpening of a batch, each example with a width of its own."""

from __future__ import annotations

import torch
from torch import Tensor

WIDEST = 1.5  # largest standard deviation, in voxels
RADIUS = int(4 * WIDEST + 0.5)


def gaussian_blur(volumes: Tensor, sigma: Tensor, *, axes: tuple[int, ...] = (0, 1)) -> Tensor:
    """Blur along some axes, each cut off at four standard deviations, edge voxels mirrored.

    Equal to SciPy's `gaussian_filter` with its default border and truncation.

    Args:
        volumes: Shape (B, X, Y, Z), any unit.
        sigma: Standard deviation in voxels, shape (B,), `WIDEST` at most; 0 changes nothing.
        axes: Among 0, 1 and 2 for x, y and z; the axial plane by default. Each holds `RADIUS`
            voxels at least.

    Raises:
        ValueError: An axis is too short.
    """
    weights = _kernels(sigma).to(volumes.dtype)
    for axis in (1 + axis for axis in axes):
        length = volumes.shape[axis]
        if length < RADIUS:
            raise ValueError(f"expected axes of at least {RADIUS} voxels, got {length}")
        mirrored = torch.cat(
            [
                volumes.narrow(axis, 0, RADIUS).flip(axis),
                volumes,
                volumes.narrow(axis, length - RADIUS, RADIUS).flip(axis),
            ],
            dim=axis,
        )
        by_distance = weights.view(RADIUS + 1, -1, 1, 1, 1)
        volumes = volumes * by_distance[0]
        for distance in range(1, RADIUS + 1):
            before = mirrored.narrow(axis, RADIUS - distance, length)
            after = mirrored.narrow(axis, RADIUS + distance, length)
            volumes.addcmul_(before + after, by_distance[distance])
    return volumes


def sharpen(
    volumes: Tensor,
    sigma: Tensor,
    strength: Tensor,
    *,
    fine_sigma: float = 0.5,
    axes: tuple[int, ...] = (0, 1),
) -> Tensor:
    """Blur, then add what a second, fine blur takes away, many times over.

    With b the blurred volume: b + strength * (b - blur of b by `fine_sigma`).

    Args:
        volumes: Shape (B, X, Y, Z), any unit.
        sigma: Standard deviation of the first blur in voxels, shape (B,).
        strength: Shape (B,); 0 leaves it at the first blur.
        fine_sigma: Standard deviation of the second blur, in voxels.
        axes: As for `gaussian_blur`.
    """
    blurred = gaussian_blur(volumes, sigma, axes=axes)
    finer = gaussian_blur(blurred, torch.full_like(sigma, fine_sigma), axes=axes)
    return blurred + strength.view(-1, 1, 1, 1).to(volumes.dtype) * (blurred - finer)


def _kernels(sigma: Tensor) -> Tensor:
    """Weights by distance 0 to `RADIUS` of normalized symmetric kernels, (RADIUS + 1, B)."""
    distance = torch.arange(RADIUS + 1, device=sigma.device, dtype=sigma.dtype)[:, None]
    weights = torch.exp(-0.5 * (distance / sigma.clamp_min(1e-3)) ** 2)
    weights = weights * (distance <= torch.floor(4 * sigma + 0.5))
    return weights / (weights[0] + 2 * weights[1:].sum(dim=0))
