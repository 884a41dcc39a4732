"""Lists of the voxels of windows: complete, in order, of known length; the last of a place wins."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from selfscan.transforms import listing
from selfscan.transforms.listing import listed_voxels, runs, write_last, write_last_in_parallel
from selfscan.transforms.random import KeyedGenerator
from selfscan.transforms.windows import WindowRange, Windows

SIZE = (7, 6, 5)


def some_windows(examples: int, count: int) -> Windows:
    """Overlapping windows, every third of which has no voxels."""
    random = KeyedGenerator.for_examples(5, torch.arange(examples))
    windows = WindowRange(SIZE, (1, 1, 1), (5, 4, 3)).draw(random, count)
    windows.sizes[:, ::3] = 0
    return windows


def one_by_one(windows: Windows, channels: int) -> tuple[list[int], list[int]]:
    """The same lists, one window after another."""
    examples, count = windows.starts.shape[:2]
    batch = torch.arange(examples * channels * 7 * 6 * 5).view(examples, channels, *SIZE)
    places, numbers = [], []
    for number in range(examples * count):
        example, k = divmod(number, count)
        (x, y, z), (a, b, c) = windows.starts[example, k], windows.sizes[example, k]
        inside = batch[example, :, x : x + a, y : y + b, z : z + c].flatten().tolist()
        places += inside
        numbers += [number] * len(inside)
    return places, numbers


@pytest.mark.parametrize("channels", [1, 3])
def test_voxels_are_listed_window_after_window(channels: int) -> None:
    windows = some_windows(3, 8)
    places, numbers = listed_voxels(windows, (channels, *SIZE), most=0)
    expected = one_by_one(windows, channels)
    assert places.tolist() == expected[0]
    assert numbers.tolist() == expected[1]


@pytest.mark.parametrize("spare", [0, 1, 1000])
def test_a_list_is_filled_up_where_its_length_is_not_asked_for(
    spare: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "_list_length", lambda lengths, most: most)
    windows = some_windows(3, 8)
    expected = one_by_one(windows, 2)
    voxels = int(windows.sizes.prod(2).sum(1).max())
    places, numbers = listed_voxels(windows, (2, *SIZE), most=voxels + spare)
    missing = 3 * 2 * (voxels + spare) - len(expected[0])
    assert missing >= 3 * 2 * spare
    assert places.tolist() == expected[0] + [3 * 2 * 7 * 6 * 5] * missing
    assert numbers.tolist() == expected[1] + [3 * 8] * missing


def test_windows_without_voxels_make_empty_lists() -> None:
    nothing = Windows(torch.zeros(2, 4, 3, dtype=torch.int64), torch.zeros(2, 4, 3).long())
    places, numbers = listed_voxels(nothing, (1, *SIZE), most=0)
    assert places.shape == numbers.shape == (0,)


def test_runs_follow_one_another_and_the_last_goes_on() -> None:
    starts, lengths = torch.tensor([5, 9, -3, 0]), torch.tensor([3, 0, 2, 1])
    assert runs(starts, lengths, 2, 6).tolist() == [5, 7, 9, -3, -1, 0]
    assert runs(starts, lengths, 0, 8).tolist() == [5, 5, 5, -3, -3, 0, 0, 0]


@pytest.mark.parametrize("write", [write_last, write_last_in_parallel])
@pytest.mark.parametrize("dtype", [torch.int64, torch.float32])
def test_of_values_for_one_place_the_last_is_written(
    write: Callable[[Tensor, Tensor, Tensor], None], dtype: torch.dtype
) -> None:
    target = torch.tensor([9, 9, 9, 9], dtype=dtype)
    write(target, torch.tensor([2, 0, 2, 0, 2]), torch.tensor([1, 2, 3, 4, 5], dtype=dtype))
    assert target.tolist() == [4, 9, 5, 9]
