"""Heads that label voxels from all levels of a pyramid; no layer of theirs looks at a neighbor.

Since every layer is a 1x1x1 convolution, a head can learn from single voxels: `single_voxels` makes
a pyramid of one cell a level out of each embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from selfscan.networks.backbone import Pyramid, Stride
from selfscan.networks.blocks import ResidualBlock


class LinearHead(nn.Module):
    """A linear classifier on the voxel embedding, computed on each level's own grid, then added.

    Source: Goncharov et al., "vox2vec", MICCAI 2023; layers are those of its release.

    Args:
        pyramid: Sizes of the levels.
        classes: Number of classes K.

    Raises:
        ValueError: The pyramid is empty, or its cells do not nest.
    """

    def __init__(self, pyramid: Pyramid, *, classes: int) -> None:
        super().__init__()
        self._factors = _factors(pyramid)
        # The bias of a sum stands once, with the finest level.
        self.layers = nn.ModuleList(
            nn.Conv3d(width, classes, 1, bias=level == 0)
            for level, width in enumerate(pyramid.channels)
        )

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Give logits (B, K, ...) on the finest grid of levels (B, C, X/stride, ...)."""
        logits: Tensor = self.layers[-1](levels[-1])
        for i in reversed(range(len(self._factors))):
            own = self.layers[i](levels[i])
            logits = enlarge(logits, self._factors[i], own.shape[2:]) + own
        return logits


class DecoderHead(nn.Module):
    """A decoder of 1x1x1 convolutions: from the coarsest level up, each joined to the next finer.

    Batch norms keep running statistics for evaluation.

    Source: Goncharov et al., "vox2vec", MICCAI 2023, the non-linear head; layers are those of its
    release.

    Args:
        pyramid: Sizes of the levels.
        classes: Number of classes K.

    Raises:
        ValueError: The pyramid is empty, or its cells do not nest.
    """

    def __init__(self, pyramid: Pyramid, *, classes: int) -> None:
        super().__init__()
        self._factors = _factors(pyramid)
        widths = pyramid.channels
        # Fine to coarse, like the pyramid: blocks[0] is the last to run.
        self.narrow = nn.ModuleList(nn.Conv3d(coarse, fine, 1) for fine, coarse in pairwise(widths))
        self.skip = nn.ModuleList(nn.Conv3d(width, width, 1) for width in widths[:-1])
        self.blocks = nn.ModuleList(ResidualBlock(width, kernel_size=1) for width in widths)
        self.last = nn.Conv3d(widths[0], classes, 1)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Give logits (B, K, ...) on the finest grid of levels (B, C, X/stride, ...)."""
        risen: Tensor = self.blocks[-1](levels[-1])
        for i in reversed(range(len(self._factors))):
            own = self.skip[i](levels[i])
            below = enlarge(self.narrow[i](risen), self._factors[i], own.shape[2:])
            risen = self.blocks[i](below + own)
        logits: Tensor = self.last(risen)
        return logits


def enlarge(maps: Tensor, factors: Stride, size: Sequence[int]) -> Tensor:
    """Repeat each cell of maps (B, C, X, Y, Z) so many times an axis; cut the ends to a size."""
    x, y, z = size
    # No more often than fits: where a volume is a single cell there is nothing to do.
    times = [float(min(factor, length)) for factor, length in zip(factors, size, strict=True)]
    repeated = functional.interpolate(maps, scale_factor=times) if max(times) > 1 else maps
    return repeated[..., :x, :y, :z]


def single_voxels(embeddings: Tensor, pyramid: Pyramid) -> list[Tensor]:
    """Embeddings (N, F) as the levels of N volumes of one cell each: (N, C, 1, 1, 1)."""
    parts = torch.split(embeddings, list(pyramid.channels), dim=1)
    return [part[..., None, None, None] for part in parts]


def _factors(pyramid: Pyramid) -> list[Stride]:
    """How many cells of each level one of the next coarser covers along (X, Y, Z)."""
    if not len(pyramid):
        raise ValueError("a head needs a pyramid of at least one level, got none")
    for fine, coarse in pairwise(pyramid.strides):
        if any(c % f for f, c in zip(fine, coarse, strict=True)):
            raise ValueError(
                f"each stride must be a multiple of the next finer one, got {pyramid.strides}"
            )
    return [
        (coarse[0] // fine[0], coarse[1] // fine[1], coarse[2] // fine[2])
        for fine, coarse in pairwise(pyramid.strides)
    ]
