"""Local shuffling: what the method page says must hold, exactly and on average."""

from __future__ import annotations

from itertools import product

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from selfscan.transforms.curve import apply_curve, draw_curve
from selfscan.transforms.random import KeyedGenerator
from selfscan.transforms.shuffle import (
    ShuffleParameters,
    apply_shuffle,
    draw_shuffle,
    shuffle_range,
    shuffle_sources,
)
from selfscan.transforms.windows import WindowRange, Windows

PUBLISHED = (64, 64, 32)


def random_for(*examples: int) -> KeyedGenerator:
    return KeyedGenerator.for_examples(11, torch.tensor(examples, dtype=torch.int64))


def numbered(size: tuple[int, int, int], examples: int = 1) -> Tensor:
    """Volumes whose voxels hold their own flat index."""
    return torch.arange(size[0] * size[1] * size[2]).view(1, 1, *size).repeat(examples, 1, 1, 1, 1)


def boxes(parameters: ShuffleParameters, example: int) -> list[tuple[slice, ...]]:
    starts = parameters.windows.starts[example].tolist()
    sizes = parameters.windows.sizes[example].tolist()
    return [
        tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))
        for start, size in zip(starts, sizes, strict=True)
    ]


def owners(parameters: ShuffleParameters, size: tuple[int, int, int]) -> npt.NDArray[np.int64]:
    """The last window over each voxel of the first example, -1 where there is none."""
    owner = np.full(size, -1)
    for number, box in enumerate(boxes(parameters, 0)):
        owner[box] = number
    return owner


def test_one_window_keeps_its_values_and_nothing_else_changes() -> None:
    volumes = numbered((30, 20, 40))
    drawn = draw_shuffle(random_for(0), WindowRange((30, 20, 40), (3, 2, 4), (3, 2, 4)), windows=1)
    shuffled = apply_shuffle(volumes, drawn)
    (box,) = boxes(drawn, 0)
    inside, before = shuffled[0, 0][box], volumes[0, 0][box]
    assert not torch.equal(inside, before)
    assert torch.equal(inside.flatten().sort().values, before.flatten().sort().values)
    restored = shuffled.clone()
    restored[0, 0][box] = before
    assert torch.equal(restored, volumes)


def test_values_stay_near_and_those_outside_all_windows_stay() -> None:
    volumes = numbered(PUBLISHED)
    drawn = draw_shuffle(random_for(1), shuffle_range(PUBLISHED))
    shuffled = apply_shuffle(volumes, drawn)
    here, there = (
        np.unravel_index(volumes.numpy(), PUBLISHED),
        np.unravel_index(shuffled, PUBLISHED),
    )
    for axis, most in enumerate((5, 5, 2)):
        assert np.abs(here[axis] - there[axis]).max() == most
    untouched = torch.from_numpy(owners(drawn, PUBLISHED) < 0)
    assert torch.equal(shuffled[0, 0][untouched], volumes[0, 0][untouched])
    last = boxes(drawn, 0)[-1]
    kept, before = shuffled[0, 0][last].flatten(), volumes[0, 0][last].flatten()
    assert torch.equal(kept.sort().values, before.sort().values)


def test_every_voxel_takes_another_voxel_of_its_last_window() -> None:
    size = (12, 14, 11)
    drawn = draw_shuffle(random_for(2), shuffle_range(size, max_window=5), windows=60)
    sources, owner = shuffle_sources(drawn, size).view(size), owners(drawn, size)
    for number, box in enumerate(boxes(drawn, 0)):
        owned = sources[torch.from_numpy(owner == number)].tolist()
        window = set(numbered(size)[0, 0][box].flatten().tolist())
        assert len(set(owned)) == len(owned)
        assert set(owned) <= window


@pytest.mark.parametrize(("size", "permutations"), [((3, 1, 1), 6), ((2, 1, 2), 24)])
def test_permutations_are_equally_likely(size: tuple[int, int, int], permutations: int) -> None:
    count = 500 * permutations
    random = random_for(*range(count))
    drawn = draw_shuffle(random, WindowRange(size, size, size), windows=1)
    shuffled = apply_shuffle(numbered(size, count), drawn).flatten(1)
    _, counts = shuffled.unique(dim=0, return_counts=True)
    assert len(counts) == permutations
    chi_squared = ((counts - 500.0).square() / 500).sum()
    assert chi_squared < {6: 20.5, 24: 49.7}[permutations]  # 0.1 %


def test_large_windows_are_permuted_evenly() -> None:
    size, count = (5, 5, 4), 4_000
    drawn = draw_shuffle(random_for(*range(count)), WindowRange(size, size, size), windows=1)
    shuffled = apply_shuffle(numbered(size, count), drawn).flatten(1)
    for place in (0, 57, 99):  # each source equally often, also next to a given one
        counts = torch.bincount(shuffled[:, place], minlength=100)
        assert ((counts - 40.0).square() / 40).sum() < 148.2  # 0.1 %, 99 degrees of freedom
    rising = (shuffled.diff(dim=1) > 0).float().mean().item()
    assert rising == pytest.approx(0.5, abs=0.002)


def test_windows_of_equal_seed_are_permuted_alike() -> None:
    starts = torch.tensor([[[0, 0, 0], [4, 5, 6]]])
    windows = Windows(starts, torch.full((1, 2, 3), 3))
    volumes = numbered((8, 9, 10))
    shuffled = apply_shuffle(volumes, ShuffleParameters(windows, torch.tensor([[42, 42]])))
    shift = shuffled - volumes
    assert shift[0, 0, :3, :3, :3].any()
    assert torch.equal(shift[0, 0, :3, :3, :3], shift[0, 0, 4:7, 5:8, 6:9])


def test_a_constant_crop_stays() -> None:
    volumes = torch.full((2, 1, 20, 20, 20), 0.3)
    drawn = draw_shuffle(random_for(0, 1), shuffle_range((20, 20, 20)), windows=500)
    assert torch.equal(apply_shuffle(volumes, drawn), volumes)


def test_shuffling_and_intensity_curves_commute() -> None:
    random = random_for(3, 4)
    volumes = random.uniform(1, 20, 30, 10)
    drawn = draw_shuffle(random, shuffle_range((20, 30, 10)), windows=900)
    curve = draw_curve(random)
    assert torch.equal(
        apply_curve(apply_shuffle(volumes, drawn), curve),
        apply_shuffle(apply_curve(volumes, curve), drawn),
    )


def test_channels_are_shuffled_alike_and_any_type_will_do() -> None:
    size = (12, 10, 11)
    volumes = numbered(size, 3).to(torch.int16)
    drawn = draw_shuffle(random_for(0, 1, 2), shuffle_range(size, max_window=4), windows=100)
    both = apply_shuffle(torch.cat((volumes, -volumes), dim=1), drawn)
    assert both.dtype == torch.int16
    assert torch.equal(both[:, :1], apply_shuffle(volumes, drawn))
    assert torch.equal(both[:, 1:], -both[:, :1])


@pytest.mark.parametrize(("size", "windows"), [((16, 24, 16), 200), ((30, 30, 30), 9_000)])
def test_an_example_is_shuffled_the_same_alone_and_among_others(
    size: tuple[int, int, int], windows: int
) -> None:
    volumes, window_range = numbered(size, 9), shuffle_range(size)
    drawn = draw_shuffle(random_for(*range(9)), window_range, windows=windows)
    together = apply_shuffle(volumes, drawn)
    for row in range(9):
        alone = draw_shuffle(random_for(row), window_range, windows=windows)
        assert torch.equal(together[row : row + 1], apply_shuffle(volumes[:1], alone))


def test_no_examples_give_no_volumes() -> None:
    empty = torch.zeros(0, 1, 10, 10, 10)
    drawn = draw_shuffle(random_for(), shuffle_range((10, 10, 10)), windows=7)
    assert apply_shuffle(empty, drawn).shape == empty.shape


def covered_share(size: tuple[int, int, int], windows: int) -> float:
    """How many voxels lie in a window on average, exactly, by the formula of the method page."""
    axes = []
    for length in size:
        shares = np.zeros(length)
        for edge in range(1, length // 10 + 1):
            places = length - edge + 1
            covering = np.convolve(np.ones(places), np.ones(edge))
            shares += covering / places / (length // 10)
        axes.append(shares)
    chance = axes[0][:, None, None] * axes[1][:, None] * axes[2]
    return float(np.mean(1 - (1 - chance) ** windows))


@pytest.mark.slow
def test_many_draws_have_the_published_statistics() -> None:
    draws = 25
    drawn = draw_shuffle(random_for(*range(draws)), shuffle_range(PUBLISHED))
    places = numbered(PUBLISHED, draws)
    shuffled = apply_shuffle(places, drawn)
    changed = (shuffled != places).flatten(1).double().mean(1)
    assert changed.mean().item() == pytest.approx(0.7855, abs=0.0028)  # 4 standard errors
    assert changed.std().item() == pytest.approx(0.0034, abs=0.002)
    present = [len(row.unique()) / row.numel() for row in shuffled.flatten(1)]
    assert 1 - np.mean(present) == pytest.approx(0.2129, abs=0.0028)
    here, there = np.unravel_index(places, PUBLISHED), np.unravel_index(shuffled, PUBLISHED)
    shifts = [np.abs(a - b).mean() for a, b in zip(here, there, strict=True)]
    assert shifts == pytest.approx([1.105, 1.105, 0.499], abs=0.008)


def test_windows_cover_the_published_share() -> None:
    assert covered_share(PUBLISHED, 10_000) == pytest.approx(0.8191, abs=5e-5)
    assert covered_share((96, 96, 96), 10_000) == pytest.approx(0.7271, abs=5e-5)
    drawn = draw_shuffle(random_for(20), shuffle_range(PUBLISHED))
    assert (owners(drawn, PUBLISHED) >= 0).mean() == pytest.approx(0.8191, abs=0.0136)


def test_edges_are_a_tenth_of_the_axis_at_most() -> None:
    assert shuffle_range((64, 96, 32)).largest == (6, 9, 3)
    assert shuffle_range((64, 96, 32), max_window=4).largest == (4, 4, 4)
    for size in product((10, 19), repeat=3):
        assert shuffle_range((size[0], size[1], size[2])).largest == (1, 1, 1)


def test_an_axis_below_ten_voxels_is_refused() -> None:
    with pytest.raises(ValueError, match="axis z of 9 voxels is too short"):
        shuffle_range((10, 10, 9))
