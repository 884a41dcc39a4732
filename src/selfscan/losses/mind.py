"""MIND-SSC: compare how each neighborhood resembles itself, whatever the contrast of the scan."""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional

TINY = 1e-12  # keeps the descriptor of a volume of one value finite
STEPS = [(axis, sign) for axis in (2, 3, 4) for sign in (-1, 1)]
PAIRS = [(one, other) for one, other in combinations(STEPS, 2) if one[0] != other[0]]


def mind(moving: Tensor, fixed: Tensor, *, radius: int = 4, dilation: int = 2) -> Tensor:
    """The mean squared difference of the self-similarity descriptors of two volumes.

    0 where one volume is a linear function of the other, falling or rising; meant for scans of
    different contrast or modality, which `local_ncc` does not bring together.

    Source: Heinrich et al., "Towards Realtime Multimodal Fusion for Image-Guided Interventions
    Using Self-similarities", MICCAI 2013. Radius and dilation are those of the release of GVSL (He
    et al., CVPR 2023), which holds this loss but does not train with it.

    Args:
        moving: Shape (B, C, X, Y, Z); channel is compared with channel.
        fixed: The same shape.
        radius: Of the patches, cubes of 2 * radius + 1 voxels an edge.
        dilation: How far the six neighbors are from a voxel, in voxels.

    Returns:
        The loss, a scalar of float32 or more, also under autocast.

    Raises:
        ValueError: The shapes differ or are not those of volumes, or a number is out of range.
    """
    if moving.shape != fixed.shape or moving.ndim != 5:
        raise ValueError(
            "expected two volumes of one shape (B, C, X, Y, Z), "
            f"got {tuple(moving.shape)} and {tuple(fixed.shape)}"
        )
    if radius < 0:
        raise ValueError(f"radius must not be negative, got {radius}")
    if dilation < 1:
        raise ValueError(f"dilation must be at least 1, got {dilation}")
    first, second = (self_similarity(each, radius, dilation) for each in (moving, fixed))
    return (first - second).square().mean()


def self_similarity(volumes: Tensor, radius: int, dilation: int) -> Tensor:
    """Twelve numbers in [0, 1] a voxel: how alike are the patches around two of its neighbors.

    With d the mean squared difference of two patches, d' what it exceeds the least of the twelve
    by, and v the mean of the twelve d', it is exp(-d' / v); v is kept within a factor of 1,000 of
    its mean over the volume. Neighbors that lie opposite each other are not compared. Voxels beyond
    the volume repeat those at its border.

    Args:
        volumes: Shape (B, C, X, Y, Z).
        radius: As for `mind`.
        dilation: As for `mind`.

    Returns:
        Shape (B * C, 12, X, Y, Z), float32 or more.
    """
    volumes = volumes.to(torch.promote_types(volumes.dtype, torch.float32))
    volumes = volumes.flatten(0, 1)[:, None]
    neighbors = {step: _shift(volumes, *step, dilation) for step in STEPS}
    differences = [(neighbors[one] - neighbors[other]).square() for one, other in PAIRS]
    distances = _patch_means(torch.cat(differences, dim=1), radius)
    excess = distances - distances.amin(dim=1, keepdim=True)
    spread = excess.mean(dim=1, keepdim=True)
    usual = spread.detach().mean(dim=(2, 3, 4), keepdim=True).clamp(min=TINY)
    return torch.exp(-excess / spread.clamp(usual / 1000, usual * 1000))


def _shift(volumes: Tensor, axis: int, sign: int, dilation: int) -> Tensor:
    """What lies `dilation` voxels behind (sign -1) or ahead (1) of each voxel along an axis."""
    padding = [0] * 6
    padding[2 * (4 - axis) + (sign > 0)] = dilation
    padded = functional.pad(volumes, padding, mode="replicate")
    return padded.narrow(axis, dilation if sign > 0 else 0, volumes.shape[axis])


def _patch_means(maps: Tensor, radius: int) -> Tensor:
    edge = 2 * radius + 1
    maps = functional.pad(maps, [radius] * 6, mode="replicate")
    for kernel in ((edge, 1, 1), (1, edge, 1), (1, 1, edge)):
        maps = functional.avg_pool3d(maps, kernel, stride=1)
    return maps
