"""Random smooth displacements: noise blurred by a wide Gaussian."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from selfscan.transforms.random import KeyedGenerator


@dataclass(frozen=True)
class ElasticParameters:
    """One displacement field an example.

    Attributes:
        seeds: Of the noise, shape (B,), int64.
        sigma: Standard deviation of the Gaussian in voxels, shape (B,).
        amplitude: Factor on the blurred noise, shape (B,).
    """

    seeds: Tensor
    sigma: Tensor
    amplitude: Tensor


def draw_elastic(
    random: KeyedGenerator, *, sigma: tuple[float, float], amplitude: float
) -> ElasticParameters:
    """Draw the noise, a width uniform in a range, and an amplitude uniform from 0 to the largest.

    Args:
        random: One stream an example.
        sigma: Least and largest standard deviation of the Gaussian, in voxels.
        amplitude: Largest factor on the blurred noise.
    """
    low, high = sigma
    return ElasticParameters(
        random.bits(), low + (high - low) * random.uniform(), amplitude * random.uniform()
    )


def elastic_displacements(
    parameters: ElasticParameters, size: tuple[int, int, int], *, centered: bool = True
) -> Tensor:
    """Noise uniform in [-1, 1), blurred along each axis, times the amplitude.

    At the published sigma of 10 to 13 voxels and amplitude of up to 512 that is about 1 voxel.

    Args:
        parameters: What was drawn.
        size: Voxels along (X, Y, Z).
        centered: Without, half a voxel is added along each axis of an even length, as in the
            release of GVSL (He et al., CVPR 2023).

    Returns:
        Along X, Y and Z in voxels, shape (B, 3, X, Y, Z).
    """
    field = 2 * KeyedGenerator(parameters.seeds).uniform(3, *size) - 1
    for axis, subscripts in enumerate(("bij,bcjyz->bciyz", "bij,bcxjz->bcxiz", "bij,bcxyj->bcxyi")):
        field = torch.einsum(subscripts, gaussian_bands(parameters.sigma, size[axis]), field)
    field = field * parameters.amplitude.view(-1, 1, 1, 1, 1)
    if not centered:
        field = field + field.new_tensor([n // 2 - (n - 1) / 2 for n in size]).view(3, 1, 1, 1)
    return field


def gaussian_bands(sigma: Tensor, length: int) -> Tensor:
    """Matrices that blur an axis, zeros beyond its ends: (B, length, length).

    The kernel is cut off at four standard deviations and sums to 1. For kernels as wide as here a
    product with such a matrix is many times faster than a convolution.

    Args:
        sigma: Standard deviation in voxels, shape (B,).
        length: Voxels along the axis.
    """
    radius = torch.floor(4 * sigma + 0.5)
    reach = torch.arange(int(radius.max()) + 1, device=sigma.device)
    weights = _gaussian(reach, sigma, radius)
    total = weights[:, 0] + 2 * weights[:, 1:].sum(dim=1)
    places = torch.arange(length, device=sigma.device)
    distances = (places[:, None] - places).abs().flatten()
    bands = _gaussian(distances, sigma, radius) / total[:, None]
    return bands.view(-1, length, length)


def _gaussian(distances: Tensor, sigma: Tensor, radius: Tensor) -> Tensor:
    """Weights (B, N) of distances (N,), 0 beyond the radius."""
    weights = torch.exp(-0.5 * (distances / sigma[:, None]) ** 2)
    return torch.where(distances <= radius[:, None], weights, 0.0)
