"""Padding: the share of a crop outside its scan, by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from labelled_store import SHAPE, write_store

from selfscan.scans.crops import Crop, Example, ForegroundCrops, MatchedCrops, UniformCrops
from selfscan.scans.store import Store
from selfscan.training.padding import padded_share


def test_the_share_of_a_crop_outside_its_scan(tmp_path: Path) -> None:
    store = Store(write_store(tmp_path))
    assert padded_share(store, UniformCrops((8, 8, 8)), seed=0) == 0
    assert padded_share(store, ForegroundCrops((16, 16, 16)), seed=0) == 0
    x, y, z = SHAPE
    larger = UniformCrops((2 * x, y, 2 * z))
    assert padded_share(store, larger, seed=0) == pytest.approx(0.75)


def test_a_resized_crop_is_padding_where_what_it_covers_is(tmp_path: Path) -> None:
    class Resized:
        def check(self, store: Store) -> None: ...

        def draw(self, store: Store, random: np.random.Generator) -> Example:
            x, y, z = SHAPE
            return Example((Crop(0, (0, 0, -z), (4, 4, 4), extent=(x, y, 2 * z)),))

    store = Store(write_store(tmp_path))
    assert padded_share(store, MatchedCrops((99, 99, 99), "whole"), seed=0) == 0
    assert padded_share(store, Resized(), seed=0) == pytest.approx(0.5)
