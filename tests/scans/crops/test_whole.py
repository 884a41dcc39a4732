from __future__ import annotations

import numpy as np
import pytest

from selfscan.scans.crops.reading import read_volume, resize
from selfscan.scans.crops.whole import WholeScans


@pytest.fixture
def store(make_store, random):
    volumes = []
    for shape in ((12, 16, 8), (20, 10, 9)):
        volume = np.full(shape, -1000, dtype=np.int16)
        volume[3:9, 2:8, 1:7] = random.integers(0, 100, (6, 6, 6))
        volumes.append(volume)
    return make_store(volumes)


def test_a_crop_is_all_of_a_scan(store) -> None:
    policy = WholeScans((8, 8, 8))
    policy.check(store)
    for scan in range(2):
        crop = policy.of(store, scan)
        assert (crop.start, crop.covered) == ((0, 0, 0), store[scan].shape)
        assert np.array_equal(read_volume(store, crop), resize(store.read(scan), (8, 8, 8)))


def test_or_the_box_around_its_body(store) -> None:
    crop = WholeScans((8, 8, 8), "body").of(store, 1)
    first, past = store[1].foreground_box
    assert crop.start == first != (0, 0, 0)
    assert np.array_equal(np.add(crop.start, crop.covered), past)


def test_scans_are_drawn_equally_often_by_equal_generators(store) -> None:
    policy = WholeScans((8, 8, 8))
    drawn = [policy.draw(store, np.random.default_rng(i)).crops[0].scan for i in range(200)]
    assert drawn == [policy.draw(store, np.random.default_rng(i)).crops[0].scan for i in range(200)]
    assert 70 < sum(drawn) < 130


def test_values_without_a_meaning_are_refused() -> None:
    with pytest.raises(ValueError, match="size must be three lengths of 1 voxel or more"):
        WholeScans((8, 0, 8))
    with pytest.raises(ValueError, match="within must be scan or body, got 'head'"):
        WholeScans((8, 8, 8), "head")  # type: ignore[arg-type]
