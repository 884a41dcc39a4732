"""Random smooth displacements: noise blurred by a wide Gaussian."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from selfscan.spatial_transformer import identity_places, sample
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
    random: KeyedGenerator,
    *,
    sigma: tuple[float, float],
    amplitude: float,
    least_amplitude: float = 0.0,
) -> ElasticParameters:
    """Draw the noise, and a width and an amplitude, each uniform in a range.

    Args:
        random: One stream an example.
        sigma: Least and largest standard deviation of the Gaussian, in voxels.
        amplitude: Largest factor on the blurred noise.
        least_amplitude: Least factor.
    """
    low, high = sigma
    return ElasticParameters(
        random.bits(),
        low + (high - low) * random.uniform(),
        least_amplitude + (amplitude - least_amplitude) * random.uniform(),
    )


def apply_elastic(
    volumes: Tensor, parameters: ElasticParameters, *, axes: tuple[int, ...] = (0, 1, 2)
) -> Tensor:
    """Read volumes (B, C, X, Y, Z) at displaced places; beyond its faces a volume is mirrored.

    Args:
        volumes: All channels of an example are displaced alike.
        parameters: One displacement field an example.
        axes: Along which of X, Y and Z voxels are displaced.
    """
    size = (volumes.shape[2], volumes.shape[3], volumes.shape[4])
    displacements = elastic_displacements(parameters, size, axes=axes)
    places = identity_places(size, like=displacements) + displacements
    return sample(volumes, places, outside="reflection")


def elastic_displacements(
    parameters: ElasticParameters,
    size: tuple[int, int, int],
    *,
    axes: tuple[int, ...] = (0, 1, 2),
    centered: bool = True,
) -> Tensor:
    """Noise uniform in [-1, 1), blurred along each axis, times the amplitude.

    At the sigma of 10 to 13 voxels and the amplitude of up to 512 of GVSL (He et al., CVPR 2023)
    that is about 1 voxel; at 8 and 991 of TransVW (Haghighi et al., TMI 2021) almost 4.

    Args:
        parameters: What was drawn.
        size: Voxels along (X, Y, Z).
        axes: Along which of these voxels are displaced; noise is drawn for these alone.
        centered: Without, half a voxel is added along each axis of an even length, as in the
            release of GVSL.

    Returns:
        Along X, Y and Z in voxels, shape (B, 3, X, Y, Z).
    """
    field = 2 * KeyedGenerator(parameters.seeds).uniform(len(axes), *size) - 1
    for axis, subscripts in enumerate(("bij,bcjyz->bciyz", "bij,bcxjz->bcxiz", "bij,bcxyj->bcxyi")):
        field = torch.einsum(subscripts, gaussian_bands(parameters.sigma, size[axis]), field)
    field = field * parameters.amplitude.view(-1, 1, 1, 1, 1)
    if axes != (0, 1, 2):
        still = field.new_zeros(len(field), 3, *size)
        field = still.index_copy_(1, torch.tensor(axes, device=field.device), field)
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
