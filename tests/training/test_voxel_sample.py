"""Drawing voxels of each class."""

from __future__ import annotations

import numpy as np
import pytest
from labelled_store import write_store
from test_frozen import frozen

from selfscan.errors import SelfscanError
from selfscan.scans.store import Store
from selfscan.training.voxel_sample import draw_voxels, sample_features, sample_voxels


def test_voxels_of_all_scans_with_their_features_and_shares(tmp_path) -> None:
    store = Store(write_store(tmp_path / "store")).select(splits=["train"])
    draw = draw_voxels(store, per_class=50, background=100, seed=0, visible=False)
    assert [len(positions) for positions in draw.positions] == [200, 200, 200]
    truth = np.stack([store.read_labels(i) for i in range(3)])
    np.testing.assert_allclose(draw.prior, np.bincount(truth.ravel()) / truth.size)
    np.testing.assert_allclose(draw.share, [0.5, 0.25, 0.25])
    labels = [truth[i][tuple(positions.T)] for i, positions in enumerate(draw.positions)]
    np.testing.assert_array_equal(np.concatenate(labels), draw.classes)
    features = sample_features(frozen((24, 20, 16)), store, draw, visible=False).numpy()
    means = [features[draw.classes == label, 0].mean() for label in range(3)]
    assert means == sorted(means)


def test_labels_of_one_class_alone_are_refused(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(write_store(tmp_path / "store")).select(splits=["validation"])
    monkeypatch.setattr(Store, "read_labels", lambda self, i: np.zeros((4, 4, 4), np.uint8))
    with pytest.raises(SelfscanError, match="voxels of 1 class in the labels of scan-3"):
        draw_voxels(store, per_class=50, background=50, seed=0, visible=False)


def test_structures_give_equally_many_voxels_and_positions_hold_their_class() -> None:
    random = np.random.default_rng(0)
    labels = random.choice([0, 1, 4], size=(9, 8, 7), p=[0.8, 0.15, 0.05]).astype(np.uint8)
    positions, classes = sample_voxels(labels, per_class=20, background=70, random=random)
    np.testing.assert_array_equal(labels[tuple(positions.T)], classes)
    assert np.bincount(classes).tolist() == [70, 20, 0, 0, 20]
    assert len(np.unique(positions, axis=0)) == len(positions)


def test_a_small_class_is_taken_whole() -> None:
    labels = np.zeros((5, 5, 5), np.uint8)
    labels[2, 3, 1:4] = 1
    random = np.random.default_rng(0)
    positions, classes = sample_voxels(labels, per_class=10, background=10, random=random)
    assert (classes == 1).sum() == 3
    assert positions[classes == 1].tolist() == [[2, 3, 1], [2, 3, 2], [2, 3, 3]]


def test_voxels_of_a_class_are_equally_likely() -> None:
    labels = np.zeros((3, 2, 2), np.uint8)
    labels[0, 0, 0] = labels[1, 1] = labels[2, 0, 1] = 1
    random = np.random.default_rng(0)
    drawn = np.concatenate(
        [sample_voxels(labels, per_class=1, background=1, random=random)[0][1:] for _ in range(800)]
    )
    _, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(counts) == 4
    assert abs(counts / 800 - 0.25).max() < 0.07
