"""Flips of whole crops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from selfscan.transforms.random import KeyedGenerator

AXES = ("x", "y", "z")


@dataclass(frozen=True)
class FlipParameters:
    """Which axes of which example are flipped: shape (B, 3), bool, along (X, Y, Z)."""

    flipped: Tensor


def draw_flips(
    random: KeyedGenerator,
    *,
    axes: Sequence[str] = ("x", "y"),
    probability: float = 0.4,
    rounds: int = 3,
) -> FlipParameters:
    """Draw flips in rounds: each goes on with a probability, and turns one axis of three.

    A round that draws an axis outside `axes` turns nothing. So x and y give what Models Genesis
    publishes, which draws among channel, x and y; x, y and z give its variant for nnU-Net.

    Args:
        random: One stream an example.
        axes: The axes that may flip.
        probability: Of going on, before each round.
        rounds: Rounds at most.

    Raises:
        ValueError: An axis is not x, y or z.
    """
    if unknown := set(axes) - set(AXES):
        raise ValueError(f"flip axes must be among {AXES}, got {sorted(unknown)}")
    goes_on = random.bernoulli(probability, rounds).cumprod(1)
    turns = one_hot(random.integers(0, 2, rounds), 3) * goes_on[..., None]
    allowed = torch.tensor([axis in axes for axis in AXES], device=random.device)
    return FlipParameters((turns.sum(1) % 2 == 1) & allowed)


def apply_flips(volumes: Tensor, parameters: FlipParameters) -> Tensor:
    """Flip volumes (B, C, X, Y, Z) of any type; twice gives the input back."""
    volumes = volumes.clone()
    for axis, flipped in enumerate(parameters.flipped.unbind(1), start=2):
        rows = flipped.nonzero().flatten()
        volumes.index_copy_(0, rows, volumes.index_select(0, rows).flip(axis))
    return volumes
