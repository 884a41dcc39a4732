"""Boxes placed at random inside a crop, as shuffling and painting use them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from selfscan.transforms.random import KeyedGenerator

Size = tuple[int, int, int]


@dataclass(frozen=True)
class Windows:
    """n boxes of every example.

    Attributes:
        starts: First voxel along (X, Y, Z), shape (B, n, 3), int64.
        sizes: Voxels along (X, Y, Z), shape (B, n, 3), int64.
    """

    starts: Tensor
    sizes: Tensor


@dataclass(frozen=True)
class WindowRange:
    """Which boxes may be drawn: edges and then places are uniform, independently for every axis.

    Attributes:
        size: Voxels of the crop along (X, Y, Z).
        smallest: Shortest edge along each axis, in voxels.
        largest: Longest edge along each axis, in voxels.
        border: Voxels at the faces of the crop that no box touches.
    """

    size: Size
    smallest: Size
    largest: Size
    border: int = 0

    def __post_init__(self) -> None:
        """Refuse boxes without voxels and boxes without a place."""
        if self.border < 0:
            raise ValueError(f"the border of windows must not be negative, got {self.border}")
        edges = zip("xyz", self.size, self.smallest, self.largest, strict=True)
        for axis, length, low, high in edges:
            if not 1 <= low <= high <= length - 2 * self.border:
                raise ValueError(
                    f"axis {axis} of {length} voxels is too short: windows of {low} to {high} "
                    f"voxels must hold 1 voxel at least and fit between borders of {self.border}"
                )

    def draw(self, random: KeyedGenerator, count: int) -> Windows:
        """So many boxes for every example."""
        low, high, length = (
            torch.tensor(edges, device=random.device)
            for edges in (self.smallest, self.largest, self.size)
        )
        sizes = random.integers(low, high, count, 3)
        last = length - self.border - sizes
        return Windows(random.integers(self.border, last, count, 3), sizes)
