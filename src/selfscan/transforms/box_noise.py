"""Noise for the voxels of many boxes, as one long list: another stream for every box."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import pad

from selfscan.transforms.listing import runs
from selfscan.transforms.random import GOLDEN, splitmix


def listed_normal(seeds: Tensor, lengths: Tensor, total: int) -> Tensor:
    """Standard normal numbers of n boxes, one after another, shape (total,), float32.

    Args:
        seeds: Of each box, shape (n,), int64.
        lengths: How many numbers it has, shape (n,), int64.
        total: What the lengths add up to, or more: more numbers then follow.
    """
    bits = splitmix(runs(pad(seeds, (0, 1)), pad(lengths, (0, 1)), GOLDEN, total))
    # The upper 24 bits make an odd multiple of 2^-24 between -1 and 1, which float32 holds exactly,
    # and the inverse of the error function makes that normal.
    uniform = bits.bitwise_right_shift_(40).to(torch.float32).add_(0.5).mul_(2.0**-23)
    return uniform.erfinv_().mul_(math.sqrt(2))


def scale_boxes(noise: Tensor, boxes: Tensor, count: int) -> Tensor:
    """Scale in place so that the smallest and the largest number of every box are 0 and 1.

    Args:
        noise: Shape (N,), never 0; a box of a single number becomes 0.5.
        boxes: Which box each number belongs to, shape (N,), int64.
        count: How many boxes there are.
    """
    bounds = noise.new_full((count,), math.inf)
    low = bounds.scatter_reduce(0, boxes, noise, "amin")
    high = bounds.neg().scatter_reduce(0, boxes, noise, "amax")
    single = low == high  # x becomes x / 2x
    low, span = torch.where(single, 0.0, low), torch.where(single, 2 * high, high - low)
    return noise.sub_(low.index_select(0, boxes)).div_(span.index_select(0, boxes))
