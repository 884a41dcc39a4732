"""Quarter turns: those of `torch.rot90`, each example by its own."""

from __future__ import annotations

import pytest
import torch

from selfscan.transforms.random import KeyedGenerator
from selfscan.transforms.rotation import (
    Plane,
    apply_quarter_turns,
    check_plane,
    draw_quarter_turns,
)


@pytest.mark.parametrize(
    ("plane", "size", "axes"),
    [("axial", (6, 6, 5), (1, 2)), ("sagittal", (4, 7, 7), (2, 3))],
)
@pytest.mark.parametrize("dtype", [torch.int16, torch.float32])
def test_every_example_turns_by_its_own_angle(
    plane: Plane, size: tuple[int, int, int], axes: tuple[int, int], dtype: torch.dtype
) -> None:
    volumes = torch.arange(8 * 2 * size[0] * size[1] * size[2]).view(8, 2, *size).to(dtype)
    turns = torch.tensor([3, 0, 1, 2, 2, 1, 0, 3])
    turned = apply_quarter_turns(volumes, turns, plane)
    expected = [torch.rot90(v, k, axes) for v, k in zip(volumes, turns.tolist(), strict=True)]
    assert turned.dtype == dtype
    assert turned.is_contiguous()
    assert torch.equal(turned, torch.stack(expected))


def test_the_published_direction() -> None:
    corners = torch.tensor([[0, 1], [2, 3]]).view(1, 1, 2, 2, 1).repeat(4, 1, 1, 1, 1)
    turned = apply_quarter_turns(corners, torch.arange(4)).view(4, 2, 2)
    assert turned[1].tolist() == [[1, 3], [0, 2]]
    assert turned[2].tolist() == [[3, 2], [1, 0]]
    assert turned[3].tolist() == [[2, 0], [3, 1]]
    sagittal = apply_quarter_turns(corners.view(4, 1, 1, 2, 2), torch.arange(4), "sagittal")
    assert torch.equal(sagittal.view(4, 2, 2), turned)


@pytest.mark.parametrize("plane", ["axial", "sagittal"])
def test_opposite_turns_give_the_input_back(plane: Plane) -> None:
    volumes, turns = torch.rand(4, 1, 6, 6, 6), torch.arange(4)
    there = apply_quarter_turns(volumes, turns, plane)
    assert torch.equal(apply_quarter_turns(there, (4 - turns) % 4, plane), volumes)


def test_all_turns_are_equally_likely() -> None:
    turns = draw_quarter_turns(KeyedGenerator.for_examples(0, torch.arange(8000)))
    counts = torch.bincount(turns, minlength=4)
    assert turns.shape == (8000,)
    assert len(counts) == 4
    assert (counts - 2000).square().sum() / 2000 < 16.3  # 0.1 %, 3 degrees of freedom


def test_only_equally_long_axes_can_turn() -> None:
    check_plane("axial", (64, 64, 32))
    check_plane("sagittal", (16, 32, 32))
    with pytest.raises(ValueError, match=r"axes x and y are equally long, got \(64, 32, 32\)"):
        check_plane("axial", (64, 32, 32))
    with pytest.raises(ValueError, match=r"axes y and z are equally long, got \(64, 64, 32\)"):
        check_plane("sagittal", (64, 64, 32))
    with pytest.raises(ValueError, match="must be one of axial, sagittal, got 'coronal'"):
        check_plane("coronal", (64, 64, 64))


@pytest.mark.parametrize("plane", ["axial", "sagittal"])
def test_a_device_is_never_waited_for(plane: Plane) -> None:
    # A tensor of the device `meta` has no values, so to look at one fails.
    turns = draw_quarter_turns(KeyedGenerator.for_examples(0, torch.arange(2, device="meta")))
    volumes = torch.zeros(2, 1, 4, 4, 4, device="meta")
    assert apply_quarter_turns(volumes, turns, plane).shape == volumes.shape
