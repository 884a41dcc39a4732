"""Padding: the share of a crop outside its scan, by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from labelled_store import SHAPE, write_store

from selfscan.scans.crops import ForegroundCrops, UniformCrops
from selfscan.scans.store import Store
from selfscan.training.padding import padded_share


def test_the_share_of_a_crop_outside_its_scan(tmp_path: Path) -> None:
    store = Store(write_store(tmp_path))
    assert padded_share(store, UniformCrops((8, 8, 8)), seed=0) == 0
    assert padded_share(store, ForegroundCrops((16, 16, 16)), seed=0) == 0
    x, y, z = SHAPE
    larger = UniformCrops((2 * x, y, 2 * z))
    assert padded_share(store, larger, seed=0) == pytest.approx(0.75)
