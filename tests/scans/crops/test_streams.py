"""Each example has the random numbers that NumPy gives by its seed and number."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from selfscan.scans.crops.streams import Streams

NUMBERS = (0, 1, 255, 256, 511, 2**32 - 1, 2**32, 2**32 + 257, 2**64 + 9)


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1, 2**32, 2**62 - 1, 2**100 + 5, 2**160])
def test_numbers_are_those_of_numpy(seed: int) -> None:
    streams = Streams(seed)
    for number in NUMBERS:
        found, expected = streams.generator(number), np.random.default_rng([seed, number])
        assert found.integers(1000, size=9).tolist() == expected.integers(1000, size=9).tolist()
        assert found.random(3).tolist() == expected.random(3).tolist()


def test_what_was_drawn_before_changes_nothing() -> None:
    streams = Streams(3)
    first = streams.generator(7).random(4).tolist()
    # Half of a word is left over, to be drawn next.
    streams.generator(300).integers(100, dtype=np.uint32)
    assert streams.generator(7).random(4).tolist() == first
    streams.generator(7).integers(100, dtype=np.uint32)
    expected = np.random.default_rng([3, 8]).integers(100, size=3, dtype=np.uint32)
    drawn = [int(streams.generator(8).integers(100, dtype=np.uint32)), *expected[1:].tolist()]
    assert drawn == expected.tolist()


def test_another_process_draws_the_same() -> None:
    streams = Streams(5)
    expected = streams.generator(9).random()
    assert pickle.loads(pickle.dumps(streams)).generator(9).random() == expected
