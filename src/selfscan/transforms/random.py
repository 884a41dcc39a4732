"""Random numbers of a batch: one stream an example, the same on every device and in every batch.

A stream is SplitMix64 (Steele, Lea and Flood, 2014) started at a hash of (seed, example). Example
number i therefore gets the same draws alone or among others, on one process or on many, on a CPU or
on a GPU, before a crash or after it; no state has to be saved.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from selfscan.transforms.pieces import piece_count

GOLDEN = 0x9E3779B97F4A7C15 - 2**64
_MIX_1 = 0xBF58476D1CE4E5B9 - 2**64
_MIX_2 = 0x94D049BB133111EB - 2**64


class KeyedGenerator:
    """Draws random tensors of shape (B, ...), row b from the stream of key b.

    Args:
        keys: Shape (B,), int64, one key an example; equal keys give equal draws.
    """

    def __init__(self, keys: Tensor) -> None:
        if keys.ndim != 1 or keys.dtype != torch.int64:
            raise ValueError(
                f"keys must be int64 of shape (B,), got {keys.dtype} of shape {tuple(keys.shape)}"
            )
        self.keys = keys
        self._drawn = 0

    @classmethod
    def for_examples(cls, seed: int, examples: Tensor) -> KeyedGenerator:
        """Streams of the examples with these numbers, shape (B,), int64, under one seed."""
        return cls(splitmix(splitmix(torch.full_like(examples, seed)) + examples * GOLDEN))

    @property
    def device(self) -> torch.device:
        """Where the draws are made."""
        return self.keys.device

    def __len__(self) -> int:
        """The number of examples, B."""
        return len(self.keys)

    def branch(self, rows: Tensor) -> KeyedGenerator:
        """New streams for the examples at these rows, shape (b,), int64.

        What is drawn from a branch never moves the streams it grew from, so a transform that hits
        some examples only may draw for these alone.
        """
        return KeyedGenerator(self.bits().index_select(0, rows))

    def split(self, count: int) -> KeyedGenerator:
        """So many new streams for each example, one after another: B * count in all."""
        return KeyedGenerator(self.bits(count).flatten())

    def bits(self, *shape: int) -> Tensor:
        """Uniform 64-bit integers, shape (B, *shape), int64."""
        count = math.prod(shape)
        positions = torch.arange(self._drawn + 1, self._drawn + count + 1, device=self.device)
        self._drawn += count
        states = positions.mul_(GOLDEN) + self.keys[:, None]
        return splitmix(states).view(len(self), *shape)

    def uniform(self, *shape: int) -> Tensor:
        """Uniform numbers in [0, 1), shape (B, *shape), float32."""
        # 24 bits are what a float32 mantissa holds exactly.
        return self._halves(*shape).bitwise_and_(0xFFFFFF).to(torch.float32).mul_(2.0**-24)

    def integers(self, low: int | Tensor, high: int | Tensor, *shape: int) -> Tensor:
        """Uniform integers in {low..high}, both ends included, shape (B, *shape), int64.

        Tensors `low` and `high` broadcast against (B, *shape).
        """
        wide = high - low + 1
        # 31 random bits times a width below 2^31 stay within int64; the bias is below width / 2^31.
        numbers = self._halves(*shape).bitwise_and_(0x7FFFFFFF).to(torch.int64)
        return numbers.mul_(wide).bitwise_right_shift_(31).add_(low)

    def bernoulli(self, probability: float, *shape: int) -> Tensor:
        """True with the given probability, shape (B, *shape), bool."""
        return self.uniform(*shape) < probability

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers by the Box-Muller transform, shape (B, *shape), float32."""
        radius = torch.sqrt(-2.0 * torch.log1p(-self.uniform(*shape)))
        return radius * torch.cos(2.0 * math.pi * self.uniform(*shape))

    def _halves(self, *shape: int) -> Tensor:
        """Uniform 32-bit integers, shape (B, *shape), int32: two of every 64-bit number."""
        count = math.prod(shape)
        pairs = (count + 1) // 2
        # Flat first: the strides of a batch without examples cannot be viewed as another type.
        halves = self.bits(pairs).flatten().view(torch.int32).view(len(self), 2 * pairs)
        return halves[:, :count].reshape(len(self), *shape)


def splitmix(states: Tensor) -> Tensor:
    """The finalizer of SplitMix64 on contiguous int64 tensors, in place."""
    for piece in states.view(-1).tensor_split(piece_count(states.numel(), states.device)):
        # Shifts are made logical by masks.
        piece.bitwise_xor_((piece >> 30).bitwise_and_((1 << 34) - 1)).mul_(_MIX_1)
        piece.bitwise_xor_((piece >> 27).bitwise_and_((1 << 37) - 1)).mul_(_MIX_2)
        piece.bitwise_xor_((piece >> 31).bitwise_and_((1 << 33) - 1))
    return states
