"""Which cubes are taken: the published rule by hand, and shares of the body."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from patients_store import write_store

from selfscan.discovery.filters import air_dominated, crop_filter, foreground_fraction
from selfscan.discovery.recipe import DiscoveryRecipe
from selfscan.errors import SelfscanError
from selfscan.scans.crops.lung import tissue_score
from selfscan.scans.words import Box


def score(dense_slices: list[int], *, depth: int = 32) -> float:
    """The score of a cube of this depth in a window of 35 slices with these dense ones."""
    window = np.full((4, 4, 35), -1000, dtype=np.int16)
    window[:, :, dense_slices] = 40
    return tissue_score(window[:, :, : depth + 1], -150.0)


def test_the_published_scores() -> None:
    assert score([]) == 0
    assert score(list(range(35))) == 1
    assert score(list(range(0, 35, 3))) == 0.5
    assert score([32, 33, 34]) == 0.5 / 32
    assert score([33, 34]) == 0


def test_air_is_taken_and_tissue_is_not(tmp_path: Path) -> None:
    store = write_store(tmp_path, scans=1)
    first, past = store[0].foreground_box
    inside = Box((first[0], first[1], first[2]), (6, 6, 6))
    outside = Box((past[0], 0, 0), (1, 6, 6))
    for box, taken in ((inside, False), (outside, True)):
        assert air_dominated(store, 0, box, tissue_hu=-150, most_tissue=0.15) == taken
    assert air_dominated(store, 0, inside, tissue_hu=-150, most_tissue=1.0)
    assert air_dominated(store, 0, inside, tissue_hu=2000, most_tissue=0.15)


def test_the_share_of_the_body_is_within_bounds(tmp_path: Path) -> None:
    store = write_store(tmp_path, scans=1)
    first, _ = store[0].foreground_box
    half = Box((first[0] - 1, first[1] + 2, first[2] + 2), (2, 4, 4))
    share = store.read_foreground(0, half.start, half.extent).mean()
    assert share == 0.5
    assert foreground_fraction(store, 0, half, (0.5, 1.0))
    assert foreground_fraction(store, 0, half, (0.0, 0.5))
    assert not foreground_fraction(store, 0, half, (0.51, 1.0))
    assert not foreground_fraction(store, 0, half, (0.0, 0.49))
    recipe = DiscoveryRecipe(foreground=(0.51, 1.0))
    assert not crop_filter(store, recipe)(0, half)


def test_the_published_rule_needs_ct(tmp_path: Path) -> None:
    store = write_store(tmp_path, scans=2, modality="mr")
    with pytest.raises(SelfscanError, match="found 2 of 2 scans that are no CT; the crop filter"):
        crop_filter(store, DiscoveryRecipe(crop_filter="air_dominated"))
