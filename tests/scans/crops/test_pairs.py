from __future__ import annotations

from math import prod

import numpy as np
import pytest

from selfscan.scans.crops import OverlappingCrops
from selfscan.scans.crops.pairs import start_range

SIZE = (12, 10, 6)


@pytest.fixture
def store(make_store, random):
    volumes = []
    for _ in range(3):
        volume = np.full((40, 36, 20), -1000, dtype=np.int16)
        volume[6:30, 5:30, 2:18] = random.integers(-100, 100, (24, 25, 16))
        volumes.append(volume)
    return make_store(volumes)


def test_starts_are_those_of_the_specification() -> None:
    patch = (128, 128, 32)
    low, high = start_range(np.array([0, 199, 50]), (300, 200, 100), patch)
    assert (low.tolist(), high.tolist()) == ([0, 72, 19], [0, 72, 50])
    low, high = start_range(np.array([150, 100, 50]), (300, 200, 100), patch)
    assert (low.tolist(), high.tolist()) == ([23, 0, 19], [150, 72, 50])


def test_a_scan_smaller_than_the_crop_lies_centered() -> None:
    low, high = start_range(np.array([5, 5, 5]), (20, 200, 31), (128, 128, 32))
    assert (low.tolist(), high.tolist()) == ([-54, 0, -1], [-54, 5, -1])


def test_both_views_show_the_same_body_voxels(store, random) -> None:
    policy = OverlappingCrops(SIZE, voxels=50, pairs=3)
    for _ in range(30):
        example = policy.draw(store, random)
        assert len(example.crops) == 6
        assert len({crop.scan for crop in example.crops}) == 1
        for pair in range(3):
            first, second = example.crops[2 * pair : 2 * pair + 2]
            count = example.extras["shared"][pair]
            positions = example.extras["voxels"][pair]
            assert 1 <= count <= 50
            assert not positions[count:].any()
            shown = positions[:count]
            assert ((shown >= 0) & (shown < SIZE)).all()
            places = shown + np.array([first.start, second.start])
            np.testing.assert_array_equal(places[:, 0], places[:, 1])
            assert len(np.unique(places[:, 0], axis=0)) == count
            x, y, z = places[:, 0].T
            assert store.read_foreground(first.scan)[x, y, z].all()


def test_pairs_lie_inside_the_scan(store, random) -> None:
    starts = np.array(
        [
            crop.start
            for _ in range(100)
            for crop in OverlappingCrops(SIZE, voxels=5).draw(store, random).crops
        ]
    )
    assert (starts >= 0).all()
    assert (starts + SIZE <= (40, 36, 20)).all()
    assert len(np.unique(starts, axis=0)) > 150


def test_all_shared_voxels_are_taken_where_they_are_few(store, random) -> None:
    example = OverlappingCrops(SIZE, voxels=prod(SIZE)).draw(store, random)
    first, second = example.crops
    body = np.zeros((40, 36, 20), dtype=int)
    for crop in (first, second):
        x, y, z = (slice(s, s + n) for s, n in zip(crop.start, crop.size, strict=True))
        body[x, y, z] += 1
    expected = (store.read_foreground(first.scan) & (body == 2)).sum()
    assert example.extras["shared"].tolist() == [expected]


def test_pairs_that_share_little_are_drawn_anew(store) -> None:
    few = [
        OverlappingCrops(SIZE, fewest=fewest).draw(store, np.random.default_rng(seed))
        for fewest in (1, 100)
        for seed in range(40)
    ]
    shared = np.array([example.extras["shared"].item() for example in few]).reshape(2, 40)
    assert shared[0].min() < 60
    assert shared[1].min() >= 100


def test_a_lone_body_voxel_is_a_pair_of_its_own(make_store, random) -> None:
    volume = np.full((30, 30, 30), -1000, dtype=np.int16)
    volume[11, 12, 13] = 100
    store = make_store([volume])
    example = OverlappingCrops(SIZE).draw(store, random)
    assert example.extras["shared"].tolist() == [1]
    place = example.extras["voxels"][0, 0] + np.array([crop.start for crop in example.crops])
    np.testing.assert_array_equal(place, [(11, 12, 13)] * 2)


@pytest.mark.parametrize("field", ["voxels", "pairs", "fewest"])
def test_numbers_below_one_are_refused(field) -> None:
    with pytest.raises(ValueError, match=f"{field} must be at least 1, got 0"):
        OverlappingCrops(SIZE, **{field: 0})
