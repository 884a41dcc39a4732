"""Local pixel shuffling: the voxels of many small windows change places (Zhou et al., MICCAI 2019).

Every window is read from the unshuffled crop and permuted uniformly, and later windows overwrite
earlier ones. So each voxel takes its value from the last window that covers it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from selfscan.transforms.listing import runs, write_last
from selfscan.transforms.pieces import piece_count
from selfscan.transforms.random import GOLDEN, KeyedGenerator, splitmix
from selfscan.transforms.windows import Size, WindowRange, Windows

_RANDOM_BITS = 24  # that order the voxels of a window


@dataclass(frozen=True)
class ShuffleParameters:
    """Which windows are shuffled, and how.

    Attributes:
        windows: n boxes of every example, the last one on top.
        seeds: One a window, shape (B, n), int64. Windows of equal size and seed are permuted alike.
    """

    windows: Windows
    seeds: Tensor


def shuffle_range(size: Size, *, max_window: int | None = None) -> WindowRange:
    """The published windows: edges of 1 voxel to a tenth of the axis, anywhere in the crop.

    Args:
        size: Voxels of the crop along (X, Y, Z).
        max_window: Longest edge in voxels; None for a tenth of each axis, rounded down.

    Raises:
        ValueError: An axis is too short: below 10 voxels where `max_window` is None.
    """
    x, y, z = (length // 10 if max_window is None else max_window for length in size)
    return WindowRange(size, smallest=(1, 1, 1), largest=(x, y, z))


def draw_shuffle(
    random: KeyedGenerator, window_range: WindowRange, *, windows: int = 10_000
) -> ShuffleParameters:
    """Draw the windows and the seeds of their permutations.

    Args:
        random: One stream an example.
        window_range: Which windows may be drawn.
        windows: Windows an example.
    """
    return ShuffleParameters(window_range.draw(random, windows), random.bits(windows))


def apply_shuffle(volumes: Tensor, parameters: ShuffleParameters) -> Tensor:
    """Shuffle volumes (B, C, X, Y, Z) of any type, all channels of an example alike."""
    examples, channels, *size = volumes.shape
    sources = shuffle_sources(parameters, (size[0], size[1], size[2]))
    if channels == 1:
        return volumes.flatten().index_select(0, sources.flatten()).view_as(volumes)
    apart = volumes.transpose(0, 1).flatten(1)
    shuffled = apart.index_select(1, sources.flatten()).view(channels, examples, *size)
    return shuffled.transpose(0, 1).contiguous()


def shuffle_sources(parameters: ShuffleParameters, size: Size) -> Tensor:
    """Where in the batch each voxel takes its value from: flat positions, shape (B, X*Y*Z), int64.

    The voxels of all windows make one long list, window after window. Sorted by (window, random
    number) it permutes each window uniformly: the j-th on the list takes the value of the j-th
    after sorting. A voxel listed more than once takes the last, which is its last window's.
    """
    device, examples = parameters.seeds.device, len(parameters.seeds)
    strides = (size[1] * size[2], size[2], 1)
    voxels = size[0] * strides[0]
    offsets = torch.arange(0, examples * voxels, voxels, device=device)[:, None]
    corners = parameters.windows.starts @ torch.tensor(strides, device=device) + offsets
    sizes = parameters.windows.sizes.flatten(0, 1)
    volumes = sizes.prod(1)
    columns = (corners.flatten(), sizes, volumes, parameters.seeds.flatten())

    sources = torch.arange(examples * voxels, device=device)
    voxel_bits = len(sources).bit_length()
    most_windows = 1 << (63 - voxel_bits - _RANDOM_BITS)
    parts = max(piece_count(int(volumes.sum()), device), 1 + len(volumes) // most_windows)
    for part in zip(*(column.tensor_split(parts) for column in columns), strict=True):
        listed, permuted = _permuted(*part, strides=strides, voxel_bits=voxel_bits)
        write_last(sources, listed, permuted)
    return sources.view(examples, voxels)


def _permuted(
    corners: Tensor,
    sizes: Tensor,
    volumes: Tensor,
    seeds: Tensor,
    *,
    strides: tuple[int, int, int],
    voxel_bits: int,
) -> tuple[Tensor, Tensor]:
    """The voxels of n windows one after another, and the same with each window permuted.

    A sorted number has the window in its highest bits, then random bits, then the voxel; so the
    sort need not carry an index along.
    """
    window_place = voxel_bits + _RANDOM_BITS
    voxel_mask, lower_mask = (1 << voxel_bits) - 1, (1 << window_place) - 1
    numbers = torch.arange(len(seeds), device=seeds.device).bitwise_left_shift_(window_place)
    numbers.bitwise_or_(corners)
    # From the shortest published edge on, and to neighbors in memory rather than far ones.
    for axis in (2, 0, 1):
        edges = sizes[:, axis].contiguous().index_select(0, numbers >> window_place)
        numbers = runs(numbers, edges, strides[axis], int(edges.sum()))
    listed = numbers & voxel_mask
    random = splitmix(runs(seeds, volumes, GOLDEN, len(listed))).bitwise_right_shift_(
        64 - window_place
    )
    numbers.bitwise_or_(random.bitwise_and_(lower_mask - voxel_mask))
    return listed, _sorted(numbers).bitwise_and_(voxel_mask)


def _sorted(numbers: Tensor) -> Tensor:
    """The numbers in rising order, in place where they lie on a CPU."""
    if numbers.device.type == "cpu":
        numbers.numpy().sort()  # several times faster than PyTorch's sort
        return numbers
    return numbers.sort().values
