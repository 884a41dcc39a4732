"""Random streams: the published numbers, even, and the same in every batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from selfscan.transforms.random import KeyedGenerator, splitmix

WORD = 2**64


def examples(*numbers: int, seed: int = 7) -> KeyedGenerator:
    return KeyedGenerator.for_examples(seed, torch.tensor(numbers, dtype=torch.int64))


def slow_mix(z: int) -> int:
    """SplitMix64's finalizer in whole numbers, as published."""
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % WORD
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % WORD
    return z ^ (z >> 31)


def slow_stream(key: int, first: int, count: int) -> list[int]:
    places = range(first + 1, first + count + 1)
    return [slow_mix((key + i * 0x9E3779B97F4A7C15) % WORD) for i in places]


def unsigned(numbers: torch.Tensor) -> list[int]:
    return [number % WORD for number in numbers.tolist()]


def test_bits_are_those_of_splitmix64() -> None:
    # The first outputs of the reference implementation in C, started at 1234567.
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert slow_stream(1234567, 0, 3) == published
    drawn = KeyedGenerator(torch.tensor([1234567])).bits(5)
    assert unsigned(drawn[0]) == slow_stream(1234567, 0, 5)


def test_bits_agree_with_the_slow_version_over_more_than_one_piece() -> None:
    keys = [5, -9]
    drawn = KeyedGenerator(torch.tensor(keys)).bits(2, 40_000).flatten(1)
    for row, key in zip(drawn, keys, strict=True):
        for first in (0, 39_998, 79_996):
            assert unsigned(row[first : first + 4]) == slow_stream(key, first, 4)


def test_splitmix_works_in_place() -> None:
    states = torch.tensor([1, -1, 2**62])
    mixed = splitmix(states)
    assert mixed is states
    assert unsigned(mixed) == [slow_mix(z % WORD) for z in (1, -1, 2**62)]


def draw_all(random: KeyedGenerator) -> list[torch.Tensor]:
    rows = torch.arange(len(random))
    return [
        random.uniform(3),
        random.integers(0, 9, 2, 2),
        random.branch(rows).normal(5),
        random.bernoulli(0.3),
        random.bits(1),
        random.normal(),
    ]


def test_an_example_draws_the_same_alone_and_among_others() -> None:
    together = draw_all(examples(4, 11, 2, 11))
    for row, number in enumerate((4, 11, 2, 11)):
        for drawn, alone in zip(together, draw_all(examples(number)), strict=True):
            assert torch.equal(drawn[row : row + 1], alone)


def test_examples_and_seeds_have_streams_of_their_own() -> None:
    streams = torch.cat(
        [examples(0, 1, 2).bits(500), examples(0, 1, 2, seed=8).bits(500)]
    ).flatten()
    assert len(streams.unique()) == len(streams)


def test_a_branch_leaves_the_stream_it_grew_from_alone() -> None:
    first, second = examples(1, 2, 3), examples(1, 2, 3)
    first.branch(torch.tensor([1])).bits(100)
    second.branch(torch.tensor([0, 2]))
    assert torch.equal(first.bits(4), second.bits(4))


def test_branches_differ_from_each_other_and_from_their_origin() -> None:
    random, everyone = examples(1, 2), torch.tensor([0, 1])
    drawn = [random.branch(everyone).bits(9), random.branch(everyone).bits(9), random.bits(9)]
    assert len(torch.stack(drawn).unique()) == 2 * 9 * 3


def test_a_branch_may_be_empty() -> None:
    branch = examples(1, 2).branch(torch.tensor([], dtype=torch.int64))
    assert len(branch) == 0
    assert branch.uniform(4, 2).shape == (0, 4, 2)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_shapes_may_be_odd(count: int) -> None:
    assert examples(1, 2, 3).uniform(count).shape == (3, count)
    assert examples(1, 2).integers(0, 1).shape == (2,)


def test_uniform_numbers_fill_the_interval_evenly() -> None:
    drawn = examples(*range(20)).uniform(5_000).flatten()
    assert drawn.dtype == torch.float32
    assert 0 <= drawn.min() < 1e-4
    assert 1 - 1e-4 < drawn.max() < 1
    counts = torch.histc(drawn, bins=50, min=0, max=1)
    chi_squared = ((counts - 2_000).square() / 2_000).sum()
    assert 23.98 < chi_squared < 85.35  # 0.1 % on either side, 49 degrees of freedom
    neighbors = np.corrcoef(drawn[:-1].numpy(), drawn[1:].numpy())[0, 1]
    assert abs(neighbors) < 0.013  # 4 standard errors


def test_integers_reach_both_ends_evenly() -> None:
    drawn = examples(*range(10)).integers(-2, 4, 7_000).flatten()
    counts = torch.bincount(drawn + 2)
    assert counts.shape == (7,)
    assert ((counts - 10_000).square() / 10_000).sum() < 22.46  # 0.1 %, 6 degrees of freedom


def test_bounds_of_integers_may_be_tensors() -> None:
    high = torch.tensor([0, 1, 5])
    drawn = examples(1, 2).integers(torch.tensor([0, -1, 5]), high, 200, 3)
    assert drawn.amin((0, 1)).tolist() == [0, -1, 5]
    assert drawn.amax((0, 1)).tolist() == [0, 1, 5]


def test_bernoulli_has_its_probability() -> None:
    drawn = examples(*range(10)).bernoulli(0.3, 4_000)
    assert drawn.float().mean().item() == pytest.approx(0.3, abs=0.0092)  # 4 standard errors
    assert not examples(1).bernoulli(0.0, 1_000).any()
    assert examples(1).bernoulli(1.0, 1_000).all()


def test_normal_numbers_are_standard() -> None:
    drawn = examples(*range(10)).normal(4_000).double()
    assert drawn.mean().item() == pytest.approx(0, abs=0.02)
    assert drawn.std().item() == pytest.approx(1, abs=0.0142)
    assert (drawn**4).mean().item() == pytest.approx(3, abs=0.2)


@pytest.mark.parametrize("keys", [torch.zeros(2, 2, dtype=torch.int64), torch.zeros(2)])
def test_keys_of_another_kind_are_refused(keys: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"keys must be int64 of shape \(B,\), got"):
        KeyedGenerator(keys)


def test_split_gives_streams_that_differ_and_belong_to_the_example() -> None:
    together = examples(3, 8).split(4)
    assert len(together) == 8
    assert len(set(together.keys.tolist())) == 8
    assert together.keys[4:].tolist() == examples(8).split(4).keys.tolist()
