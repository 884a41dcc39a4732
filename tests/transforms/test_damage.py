"""What GVSL damages, and how much of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from selfscan.transforms.curve import CurveParameters, apply_curve
from selfscan.transforms.damage import DamageConfig, apply_damage, draw_damage
from selfscan.transforms.random import KeyedGenerator
from selfscan.transforms.shuffle import apply_shuffle

SIZE = (40, 60, 20)
NOTHING = DamageConfig(shuffle_probability=0, curve_probability=0, box_probability=0)


def random(examples: int) -> KeyedGenerator:
    return KeyedGenerator.for_examples(3, torch.arange(examples))


def volumes(examples: int) -> torch.Tensor:
    return torch.rand(examples, 1, *SIZE, generator=torch.Generator().manual_seed(0))


def test_without_any_probability_nothing_changes() -> None:
    clean = volumes(3)
    assert torch.equal(apply_damage(clean, draw_damage(random(3), SIZE, NOTHING)), clean)


def test_published_shares() -> None:
    drawn = draw_damage(random(4000), (30, 30, 30), replace(DamageConfig(), shuffle_blocks=1))
    assert len(drawn.shuffled) / 4000 == pytest.approx(0.8, abs=0.02)
    assert len(drawn.curved) / 4000 == pytest.approx(0.9, abs=0.02)
    assert not drawn.curve.falling.any()
    boxes = drawn.boxes.used.double()
    assert boxes.mean().item() == pytest.approx(14.9, abs=0.4)
    assert (boxes == 0).double().mean().item() == pytest.approx(0.05, abs=0.01)
    assert (boxes == 30).double().mean().item() == pytest.approx(0.215, abs=0.02)


def test_published_boxes() -> None:
    drawn = draw_damage(random(200), (128, 60, 30), DamageConfig()).boxes.windows
    assert drawn.sizes.amin(dim=(0, 1)).tolist() == [12, 6, 3]
    assert drawn.sizes.amax(dim=(0, 1)).tolist() == [24, 11, 5]
    assert drawn.starts.amin(dim=(0, 1)).tolist() == [3, 3, 3]


def test_published_boxes_cover_a_twentieth() -> None:
    config = replace(NOTHING, box_probability=0.95)
    clean = torch.full((40, 1, 64, 64, 64), 0.5)
    damaged = apply_damage(clean, draw_damage(random(40), (64, 64, 64), config))
    assert (damaged != clean).double().mean().item() == pytest.approx(0.05, abs=0.015)


def test_all_blocks_of_an_example_are_permuted_alike() -> None:
    config = replace(NOTHING, shuffle_probability=1, shuffle_blocks=3)
    drawn = draw_damage(random(2), SIZE, config)
    assert drawn.shuffle.windows.sizes.flatten(0, 1).unique(dim=0).tolist() == [[2, 3, 1]]
    assert (drawn.shuffle.seeds == drawn.shuffle.seeds[:, :1]).all()
    assert drawn.shuffle.seeds[0, 0] != drawn.shuffle.seeds[1, 0]
    clean = volumes(2)
    shuffled = apply_shuffle(clean, drawn.shuffle)
    assert torch.equal(apply_damage(clean, drawn), shuffled)


def test_published_shuffling_changes_two_fifths() -> None:
    config = replace(DamageConfig(), shuffle_probability=1, curve_probability=0, box_probability=0)
    numbered = torch.arange(128.0**3).view(1, 1, 128, 128, 128) / 128**3
    damaged = apply_damage(numbered, draw_damage(random(1), (128, 128, 128), config))
    assert (damaged != numbered).double().mean().item() == pytest.approx(0.39, abs=0.02)


def test_published_curve() -> None:
    curve = CurveParameters(torch.tensor([[0.2, 0.8, 0.6, 0.3]]), torch.tensor([False]))
    values = torch.tensor([[0.1, 0.25, 0.5, 0.75, 0.9, -0.5, 1.7]])
    expected = [0.275482, 0.452808, 0.563908, 0.694723, 0.848403, 0, 1]
    assert apply_curve(values, curve)[0].tolist() == pytest.approx(expected, abs=2e-5)


def test_crops_too_small_for_boxes_are_refused() -> None:
    DamageConfig().check_size((16, 16, 16))
    with pytest.raises(ValueError, match="axis z of 8 voxels is too short"):
        DamageConfig().check_size((16, 16, 8))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shuffle_probability": 1.5}, r"shuffle_probability must lie in \[0, 1\], got 1.5"),
        ({"box_probability": -0.1}, r"box_probability must lie in \[0, 1\], got -0.1"),
        ({"shuffle_blocks": 0}, "shuffle_blocks must be at least 1, got 0"),
        ({"boxes": 32}, r"boxes must lie in \[1, 31\], got 32"),
    ],
)
def test_values_without_a_meaning_are_refused(arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        DamageConfig(**arguments)
