from __future__ import annotations

import numpy as np
import pytest
from small_store import write_small_store

from selfscan.evaluation.queries import warp_queries
from selfscan.scans.store import Store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(write_small_store(tmp_path_factory.mktemp("store")))


def test_without_displacement_the_truth_is_the_voxel_itself(store: Store) -> None:
    found = warp_queries(store, 2, points=50, amplitude_mm=0.0, scale_mm=20.0, seed=1)
    np.testing.assert_array_equal(found.truth, found.voxels)
    np.testing.assert_array_equal(found.volume, store.read(2))
    assert found.box == tuple(map(list, store[2].foreground_box))
    assert len(np.unique(found.voxels, axis=0)) == 50


def test_a_query_shows_what_lies_at_its_true_place(store: Store) -> None:
    found = warp_queries(store, 0, points=300, amplitude_mm=8.0, scale_mm=20.0, seed=1)
    nearest = np.rint(found.truth).astype(int)
    assert store.read_foreground(0)[tuple(nearest.T)].all()
    ball = store.read_labels(0)[tuple(nearest.T)] > 0
    seen = found.volume[0][tuple(found.voxels.T)]
    # The ball has 300 HU and what surrounds it -100; borders are blurred by interpolation.
    assert seen[ball].mean() > 200 > 0 > seen[~ball].mean()
    assert np.abs(found.truth - found.voxels).max() > 1


def test_a_seed_decides_the_warp_and_the_voxels(store: Store) -> None:
    first, again, other = (
        warp_queries(store, 0, points=20, amplitude_mm=5.0, scale_mm=20.0, seed=seed)
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first.truth, again.truth)
    assert not np.array_equal(first.volume, other.volume)
