"""The random numbers of each example: those of `numpy.random.default_rng([seed, number])`, sooner.

NumPy takes as long to begin a generator as to draw a crop's position from it. Here the states of
neighboring examples are computed together, and one generator is set to one after the other.

Source: O'Neill, "Developing a seed_seq Alternative", 2015, and "PCG", 2014, as NumPy has them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_Words = npt.NDArray[np.uint32]
_TOGETHER = 256
_POOL = 4  # words that a seed is mixed into
_MIX, _MIX_IN = np.uint32(0xCA01F9DD), np.uint32(0x4973F715)
_STEP = 0x2360ED051FC65DA44385DF649FCCF645  # of PCG64
_BITS_128 = 2**128 - 1


class Streams:
    """A generator for each example.

    Args:
        seed: Of all examples, from 0 on, of any size.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._block, self._states = -1, list[tuple[int, int]]()
        self._bits = np.random.PCG64(0)
        self._generator = np.random.Generator(self._bits)
        self._state = self._bits.state

    def generator(self, number: int) -> np.random.Generator:
        """That of example `number`, from 0 on; it holds until the next one is asked for."""
        block, place = divmod(number, _TOGETHER)
        if block != self._block:
            self._block, self._states = block, _states(self._seed, block * _TOGETHER)
        state, increment = self._states[place]
        self._state["state"] = {"state": state, "inc": increment}
        self._bits.state = self._state
        return self._generator


def _states(seed: int, first: int) -> list[tuple[int, int]]:
    """State and increment of PCG64 for examples from number `first` on."""
    numbers = range(first, first + _TOGETHER)
    # All of a block have as many words, as 2^32 is a multiple of its length.
    words = [*_words(seed), *_words(first)]
    entropy = [np.full(_TOGETHER, word, dtype=np.uint32) for word in words]
    entropy[len(_words(seed))] += np.arange(len(numbers), dtype=np.uint32)
    halves = _generate(_mixed(entropy)).view("<u8").astype(object)
    high_state, low_state, high_stream, low_stream = halves.T
    begun = (high_state << 64) | low_state
    increments = ((((high_stream << 64) | low_stream) << 1) | 1) & _BITS_128
    states = ((increments + begun) * _STEP + increments) & _BITS_128
    return list(zip(states.tolist(), increments.tolist(), strict=True))


def _mixed(entropy: list[_Words]) -> list[_Words]:
    """The pool of `SeedSequence`, for as many seeds as each word of the entropy has numbers."""
    hashing = _Hashing(0x43B0D7E5, 0x931E8875)
    padded = entropy + [np.zeros_like(entropy[0])] * (_POOL - len(entropy))
    pool = [hashing.of(word) for word in padded[:_POOL]]
    for source in range(_POOL):
        for target in range(_POOL):
            if source != target:
                pool[target] = _joined(pool[target], hashing.of(pool[source]))
    for word in padded[_POOL:]:
        for target in range(_POOL):
            pool[target] = _joined(pool[target], hashing.of(word))
    return pool


def _generate(pool: list[_Words]) -> _Words:
    """Eight words for each seed, shape (seeds, 8)."""
    hashing = _Hashing(0x8B51F9DD, 0x58F38DED)
    return np.stack([hashing.of(pool[i % _POOL]) for i in range(8)], axis=1)


class _Hashing:
    """A hash of words whose constant moves on with each."""

    def __init__(self, first: int, factor: int) -> None:
        self._constant, self._factor = first, factor

    def of(self, words: _Words) -> _Words:
        """The hash of each."""
        hashed = words ^ np.uint32(self._constant)
        self._constant = self._constant * self._factor & 0xFFFFFFFF
        hashed = hashed * np.uint32(self._constant)
        return hashed ^ (hashed >> np.uint32(16))


def _joined(one: _Words, other: _Words) -> _Words:
    difference = one * _MIX - other * _MIX_IN
    joined: _Words = difference ^ (difference >> np.uint32(16))
    return joined


def _words(number: int) -> list[int]:
    """A number in base 2^32, its lowest digit first."""
    return [number >> low & 0xFFFFFFFF for low in range(0, max(number.bit_length(), 1), 32)]
