"""Drawing voxels of each class."""

from __future__ import annotations

import numpy as np

from selfscan.training.voxel_sample import sample_voxels


def test_each_class_gives_equally_many_and_positions_hold_their_class() -> None:
    random = np.random.default_rng(0)
    labels = random.choice([0, 1, 4], size=(9, 8, 7), p=[0.8, 0.15, 0.05]).astype(np.uint8)
    positions, classes = sample_voxels(labels, per_class=20, random=random)
    np.testing.assert_array_equal(labels[tuple(positions.T)], classes)
    assert np.bincount(classes).tolist() == [20, 20, 0, 0, 20]
    assert len(np.unique(positions, axis=0)) == len(positions)


def test_a_small_class_is_taken_whole() -> None:
    labels = np.zeros((5, 5, 5), np.uint8)
    labels[2, 3, 1:4] = 1
    positions, classes = sample_voxels(labels, per_class=10, random=np.random.default_rng(0))
    assert (classes == 1).sum() == 3
    assert positions[classes == 1].tolist() == [[2, 3, 1], [2, 3, 2], [2, 3, 3]]


def test_voxels_of_a_class_are_equally_likely() -> None:
    labels = np.zeros((3, 2, 2), np.uint8)
    labels[0, 0, 0] = labels[1, 1] = labels[2, 0, 1] = 1
    random = np.random.default_rng(0)
    drawn = np.concatenate(
        [sample_voxels(labels, per_class=1, random=random)[0][1:] for _ in range(800)]
    )
    _, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(counts) == 4
    assert abs(counts / 800 - 0.25).max() < 0.07
