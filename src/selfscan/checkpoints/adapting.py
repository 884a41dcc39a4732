"""Weights of another shape made to fit where that has a meaning: other channels, other windows."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

_TABLE, _INDEX = "relative_position_bias_table", "relative_position_index"


@dataclass(frozen=True)
class Adapted:
    """A weight that fits now, and how it came to."""

    value: Tensor
    how: str


def adapted(name: str, weight: Tensor, target: Tensor, *, stems: Set[str]) -> Adapted | None:
    """Make a weight fit the shape of another, or give None where nothing sensible can be done.

    The first convolution of a backbone with another number of channels: its kernels are summed over
    the channels they had and shared out evenly among the new ones, so that an image repeated in
    every channel gives what it gave before. The attention of a transformer with windows of another
    size: its table of relative positions is interpolated.

    Args:
        name: The weight's name.
        weight: As it was trained.
        target: That of the network, of another shape.
        stems: The names of first convolutions.
    """
    same_but_channels = weight.ndim == target.ndim == 5 and (
        weight.shape[0] == target.shape[0] and weight.shape[2:] == target.shape[2:]
    )
    if name in stems and same_but_channels:
        channels = target.shape[1]
        shared = torch.sum(weight, dim=1, keepdim=True).expand(-1, channels, -1, -1, -1) / channels
        return Adapted(shared, f"{weight.shape[1]} to {channels} input channels")
    if name.endswith(_TABLE) and weight.shape[1:] == target.shape[1:]:
        before, now = (_window(table) for table in (weight, target))
        return Adapted(
            _interpolated(weight, 2 * now - 1), f"windows of {before} cells interpolated to {now}"
        )
    if name.endswith(_INDEX):
        return Adapted(target, "that of the new windows")
    return None


def _window(table: Tensor) -> int:
    """The edge of a window whose table has a row for each offset between two of its cells."""
    return (_edge(table) + 1) // 2


def _edge(table: Tensor) -> int:
    edge: float = len(table) ** (1 / 3)
    return round(edge)


def _interpolated(table: Tensor, edge: int) -> Tensor:
    """A table (offsets, heads) for cubes of offsets with another edge, first and last kept."""
    before = _edge(table)
    cubes = table.T.reshape(1, -1, before, before, before)
    resized = functional.interpolate(cubes, size=(edge,) * 3, mode="trilinear", align_corners=True)
    return resized.flatten(2)[0].T.contiguous()
