"""Windows: inside the crop, clear of the border, even in size and place."""

from __future__ import annotations

import pytest
import torch

from selfscan.transforms.random import KeyedGenerator
from selfscan.transforms.windows import WindowRange


def random_for(*examples: int) -> KeyedGenerator:
    return KeyedGenerator.for_examples(3, torch.tensor(examples))


def test_windows_reach_all_sizes_and_places_and_no_others() -> None:
    windows = WindowRange((7, 9, 12), (1, 2, 3), (2, 3, 3), border=2).draw(random_for(0, 1), 3_000)
    ends = windows.starts + windows.sizes
    assert windows.sizes.amin((0, 1)).tolist() == [1, 2, 3]
    assert windows.sizes.amax((0, 1)).tolist() == [2, 3, 3]
    assert windows.starts.amin((0, 1)).tolist() == [2, 2, 2]
    assert ends.amax((0, 1)).tolist() == [5, 7, 10]


def test_places_are_even_given_the_size() -> None:
    windows = WindowRange((6, 10, 10), (1, 1, 1), (4, 1, 1)).draw(random_for(*range(10)), 4_000)
    sizes, starts = windows.sizes[..., 0], windows.starts[..., 0]
    for size in (1, 2, 3, 4):
        counts = torch.bincount(starts[sizes == size], minlength=7 - size).double()
        share = counts / counts.sum()
        assert len(share) == 7 - size
        assert torch.allclose(share, torch.full_like(share, 1 / (7 - size)), atol=0.02)


@pytest.mark.parametrize(
    ("smallest", "largest", "border"),
    [((0, 1, 1), (2, 2, 2), 0), ((3, 1, 1), (2, 2, 2), 0), ((1, 1, 1), (5, 5, 5), 3)],
)
def test_windows_that_do_not_fit_are_refused(
    smallest: tuple[int, int, int], largest: tuple[int, int, int], border: int
) -> None:
    with pytest.raises(ValueError, match="axis x of 10 voxels is too short: windows of"):
        WindowRange((10, 20, 20), smallest, largest, border)


def test_a_negative_border_is_refused() -> None:
    with pytest.raises(ValueError, match="must not be negative, got -1"):
        WindowRange((10, 20, 20), (1, 1, 1), (2, 2, 2), border=-1)
