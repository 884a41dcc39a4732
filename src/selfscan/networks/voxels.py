"""The embedding of a voxel: the vectors that a feature pyramid has at its place, put together."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from selfscan.networks.backbone import Stride


def voxel_features(
    levels: Sequence[Tensor], strides: Sequence[Stride], examples: Tensor, positions: Tensor
) -> Tensor:
    """Look voxels up in every level of a pyramid, in the cell that each lies in.

    One gather a level serves the whole batch.

    Source: Goncharov et al., "vox2vec", MICCAI 2023, section 2.1.

    Args:
        levels: The pyramid's maps, fine to coarse, each of shape (B, C, X/stride, ...).
        strides: Input voxels to one cell along (X, Y, Z), for each level.
        examples: Which of the B volumes each voxel is in, int64, shape (N,).
        positions: Voxels of the input, int64, shape (N, 3).

    Returns:
        The embeddings, shape (N, sum of C), from the finest level to the coarsest.

    Raises:
        ValueError: A voxel lies outside the input.
    """
    cells = torch.tensor(levels[0].shape[2:], device=positions.device)
    extent = cells * torch.tensor(strides[0], device=positions.device)
    outside = ((positions < 0) | (positions >= extent)).any(dim=1)
    if outside.any():
        raise ValueError(
            f"expected positions within {tuple(extent.tolist())} voxels, "
            f"got {tuple(positions[outside][0].tolist())}"
        )
    found = []
    for level, stride in zip(levels, strides, strict=True):
        x, y, z = (positions // torch.tensor(stride, device=positions.device)).unbind(dim=1)
        found.append(level[examples, :, x, y, z])
    return torch.cat(found, dim=1)
