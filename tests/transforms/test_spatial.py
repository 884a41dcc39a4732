"""Flips: on both sides alike, and as often as published."""

from __future__ import annotations

import pytest
import torch

from selfscan.transforms.random import KeyedGenerator
from selfscan.transforms.spatial import FlipParameters, apply_flips, draw_flips


def drawn(axes: tuple[str, ...], count: int = 100_000) -> dict[tuple[bool, ...], float]:
    """How often each combination of flipped axes was drawn."""
    flipped = draw_flips(KeyedGenerator.for_examples(1, torch.arange(count)), axes=axes).flipped
    rows, counts = flipped.unique(dim=0, return_counts=True)
    return {
        tuple(row): number / count
        for row, number in zip(rows.tolist(), counts.tolist(), strict=True)
    }


def test_flips_of_the_release_have_the_published_frequencies() -> None:
    shares = drawn(("x", "y"))
    assert shares.keys() == {
        (False, False, False),
        (True, False, False),
        (False, True, False),
        (True, True, False),
    }
    assert shares[False, False, False] == pytest.approx(0.72859, abs=0.0057)  # 4 standard errors
    assert shares[True, False, False] == pytest.approx(0.11793, abs=0.0041)
    assert shares[False, True, False] == pytest.approx(0.11793, abs=0.0041)
    assert shares[True, True, False] == pytest.approx(0.03556, abs=0.0024)


def test_flips_of_the_nnunet_variant_have_the_published_frequencies() -> None:
    shares = drawn(("x", "y", "z"))
    assert shares[False, False, False] == pytest.approx(0.6320, abs=0.0062)
    assert shares[False, False, True] == pytest.approx(0.09659, abs=0.0038)
    assert shares[True, False, True] == pytest.approx(0.02133, abs=0.0019)
    assert shares[True, True, True] == pytest.approx(0.01422, abs=0.0015)


@pytest.mark.parametrize("dtype", [torch.int16, torch.float32])
def test_a_flip_turns_its_axes_and_twice_gives_the_input_back(dtype: torch.dtype) -> None:
    volumes = torch.arange(3 * 2 * 4 * 5 * 6).view(3, 2, 4, 5, 6).to(dtype)
    flips = FlipParameters(
        torch.tensor([[True, False, True], [False, False, False], [False, True, False]])
    )
    flipped = apply_flips(volumes, flips)
    assert torch.equal(flipped[0], volumes[0].flip(1, 3))
    assert torch.equal(flipped[1], volumes[1])
    assert torch.equal(flipped[2], volumes[2].flip(2))
    assert torch.equal(apply_flips(flipped, flips), volumes)


def test_no_rounds_flip_nothing() -> None:
    random = KeyedGenerator.for_examples(0, torch.arange(50))
    assert not draw_flips(random, rounds=0).flipped.any()


def test_an_unknown_axis_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must be among \('x', 'y', 'z'\), got \['w'\]"):
        draw_flips(KeyedGenerator(torch.tensor([1])), axes=("x", "w"))
