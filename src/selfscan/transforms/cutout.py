"""Inner cut-out: boxes of a crop lose their content to noise, then to the same place of another.

Source: Tang et al., "Self-Supervised Pre-Training of Swin Transformers for 3D Medical Image
Analysis", CVPR 2022, arXiv 2111.14791; the numbers are those of its release.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from selfscan.transforms.box_noise import listed_normal, scale_boxes
from selfscan.transforms.listing import Shape, listed_voxels, write_last
from selfscan.transforms.random import KeyedGenerator
from selfscan.transforms.windows import Size, Windows

Noise = Literal["per_box", "pooled"]
SwapFrom = Literal["snapshot", "running"]


@dataclass(frozen=True)
class CutoutConfig:
    """How much is cut out; defaults are those of the release, its small crops repaired.

    Attributes:
        max_drop: Largest share of a crop that a pass may count; it stops at a uniform share below.
        max_block: Longest edge of a box as a share of the axis, left out itself.
        min_block: Shortest edge of a box as a share of the axis.
        shortest_edge: Shortest edge of a box in voxels; the release has none, which is 1.
        noise: `per_box` scales the normal noise of every box to [0, 1]; `pooled` scales and clips
            that of all alike, which is cheaper on a GPU and slightly different.
        swap: Whether a second pass takes boxes from another crop of the batch.
        swap_from: `snapshot` takes them from the crops as they are after the first pass;
            `running` from what they are at the time, one example after another, as released.
    """

    max_drop: float = 0.3
    max_block: float = 0.25
    min_block: float = 0.05
    shortest_edge: int = 2
    noise: Noise = "per_box"
    swap: bool = True
    swap_from: SwapFrom = "snapshot"

    def __post_init__(self) -> None:
        """Refuse values without a meaning."""
        if not 0 <= self.max_drop < 1:
            raise ValueError(f"max_drop must lie in [0, 1), got {self.max_drop}")
        if not 0 <= self.min_block <= self.max_block <= 1:
            raise ValueError(
                "blocks must be 0 <= min_block <= max_block <= 1, "
                f"got {self.min_block} and {self.max_block}"
            )
        if self.shortest_edge < 1:
            raise ValueError(f"shortest_edge must be at least 1 voxel, got {self.shortest_edge}")
        for name, values in (("noise", get_args(Noise)), ("swap_from", get_args(SwapFrom))):
            if getattr(self, name) not in values:
                raise ValueError(
                    f"{name} must be one of {', '.join(values)}, got {getattr(self, name)!r}"
                )

    def check_size(self, size: Size) -> None:
        """Refuse crops too small for boxes, with a ValueError."""
        for axis, length, (shortest, _) in zip("xyz", size, self.edges(size), strict=True):
            if length <= shortest:
                raise ValueError(
                    f"axis {axis} of {length} voxels is too short: the shortest box of the "
                    f"cut-out has {shortest} voxels and must be shorter than the crop"
                )

    def edges(self, size: Size) -> list[tuple[int, int]]:
        """The shortest and the longest edge of a box along each axis, in voxels."""
        shortest = [max(self.shortest_edge, int(self.min_block * length)) for length in size]
        return [
            (low, max(low, int(self.max_block * length) - 1))
            for low, length in zip(shortest, size, strict=True)
        ]

    def most_voxels(self, size: Size) -> int:
        """How many voxels the boxes of one pass over one crop have together, at most."""
        largest = math.prod(longest for _, longest in self.edges(size))
        return math.ceil(self.max_drop * math.prod(size)) + largest

    def enough_boxes(self, size: Size) -> int:
        """So many boxes reach the largest budget, but for one crop in 10^7.

        The sum of n volumes v falls short of its mean by t with a probability below
        exp(-t^2 / (2 n E[v^2])) (Maurer, 2003), as volumes are not negative.
        """
        mean, square = 1.0, 1.0
        for length, (low, high) in zip(size, self.edges(size), strict=True):
            room = length - np.arange(length - low)
            edges = np.minimum.outer(np.arange(low, high + 1), room)
            mean, square = mean * edges.mean(), square * (edges**2).mean()
        margin = math.sqrt(2 * math.log(1e7) * square)
        budget = self.max_drop * math.prod(size)
        root = (margin + math.sqrt(margin**2 + 4 * mean * budget)) / (2 * mean)
        return math.ceil(root**2)


@dataclass(frozen=True)
class CutoutParameters:
    """The random parameters of a batch; boxes that are not cut out have sizes of 0.

    Attributes:
        noise: n boxes of every example that are filled with noise, later ones on top.
        seeds: Of the noise of each box, shape (B, n), int64.
        swap: n boxes of every example that are taken from its donor.
        donors: Numbers of those crops within the batch, shape (B,), int64; no box is taken from
            the crop itself.
    """

    noise: Windows
    seeds: Tensor
    swap: Windows
    donors: Tensor


def draw_cutout(
    random: KeyedGenerator, size: Size, config: CutoutConfig, *, views: int = 1
) -> CutoutParameters:
    """Draw boxes and donors for a batch.

    Args:
        random: One stream a crop.
        size: Voxels of the crop along (X, Y, Z).
        config: How much.
        views: So many crops, one after another, are views of one example, as `random.split(views)`
            has them. The donor is the same view of any example.

    Raises:
        ValueError: The crop is too small for boxes.
    """
    config.check_size(size)
    budgets = random.uniform(2) * (config.max_drop * math.prod(size))
    count, starts, sizes = config.enough_boxes(size), [], []
    for length, (low, high) in zip(size, config.edges(size), strict=True):
        starts.append(random.integers(0, length - low - 1, 2, count))
        sizes.append(random.integers(low, high, 2, count))
    boxes = within_budget(Windows(torch.stack(starts, -1), torch.stack(sizes, -1)), size, budgets)
    crops = torch.arange(len(random), device=random.device)
    donors = random.integers(0, len(random) // views - 1) * views + crops % views
    return CutoutParameters(
        noise=Windows(boxes.starts[:, 0], boxes.sizes[:, 0]),
        seeds=random.bits(count),
        swap=Windows(boxes.starts[:, 1], boxes.sizes[:, 1] * (donors != crops)[:, None, None]),
        donors=donors,
    )


def within_budget(boxes: Windows, size: Size, budgets: Tensor) -> Windows:
    """Clip boxes at the far faces; from where they count the budget on, they have sizes of 0.

    Args:
        boxes: Shape (..., n, 3); voxels of several boxes count several times.
        size: Voxels of the crop along (X, Y, Z).
        budgets: Voxels to count, shape (...); the last box may go beyond.
    """
    ends = boxes.starts + boxes.sizes
    ends = torch.stack([e.clamp(max=n) for e, n in zip(ends.unbind(-1), size, strict=True)], -1)
    sizes = ends - boxes.starts
    volumes = sizes.prod(-1)
    cut_out = volumes.cumsum(-1) - volumes < budgets[..., None]
    return Windows(boxes.starts, sizes * cut_out[..., None])


def apply_cutout(volumes: Tensor, parameters: CutoutParameters, config: CutoutConfig) -> Tensor:
    """Cut boxes out of volumes (B, C, X, Y, Z) in [0, 1], float32, alike in all channels."""
    p, (channels, x, y, z) = parameters, volumes.shape[1:]
    shape, most = (channels, x, y, z), config.most_voxels((x, y, z))
    crops = _flat(volumes)
    _fill_with_noise(crops, p, shape, most=most, pooled=config.noise == "pooled")
    if config.swap and config.swap_from == "snapshot":
        _swap(crops, p.swap, p.donors, shape, most=most)
    elif config.swap:
        # A donor further on is still clean; one further back has been through both passes.
        noised, crops, voxels = crops, _flat(volumes), math.prod(shape)
        for row in range(len(volumes)):
            this, voxel = slice(row, row + 1), slice(row * voxels, (row + 1) * voxels)
            crops[voxel] = noised[voxel]
            boxes = Windows(p.swap.starts[this], p.swap.sizes[this])
            _swap(crops, boxes, p.donors[this], shape, most=most, first=row)
    return crops[:-1].view_as(volumes)


def _flat(volumes: Tensor) -> Tensor:
    """A copy with one voxel more, for what fills lists up."""
    return torch.cat([volumes.flatten(), volumes.new_zeros(1)])


def _fill_with_noise(
    crops: Tensor, parameters: CutoutParameters, shape: Shape, *, most: int, pooled: bool
) -> None:
    """The first pass over flat crops of this shape, in place."""
    boxes, seeds = parameters.noise, parameters.seeds.flatten()
    places, numbers = listed_voxels(boxes, shape, most=most)
    noise = listed_normal(seeds, boxes.sizes.prod(2).flatten() * shape[0], len(places))
    if pooled:
        noise = noise.mul_(0.144).add_(0.5).clamp_(0.0, 1.0)
    else:
        noise = scale_boxes(noise, numbers, len(seeds) + 1)
    write_last(crops, places, noise)


def _swap(
    crops: Tensor, boxes: Windows, donors: Tensor, shape: Shape, *, most: int, first: int = 0
) -> None:
    """The second pass over flat crops of this shape from number `first` on, in place."""
    examples, count = boxes.starts.shape[:2]
    places, numbers = listed_voxels(boxes, shape, most=most)
    places += first * math.prod(shape)
    away = donors - torch.arange(first, first + examples, device=donors.device)
    # What fills the list up is taken from its own place.
    away = pad(away.repeat_interleave(count) * math.prod(shape), (0, 1))
    sources = places + away.index_select(0, numbers)
    # A voxel in several boxes is given the same value by all.
    crops.index_copy_(0, places, crops.index_select(0, sources))
