from __future__ import annotations

import numpy as np
import pytest

from selfscan.errors import SelfscanError
from selfscan.scans.crops.policies import (
    ForegroundCrops,
    LabelCrops,
    UniformCrops,
    label_counts,
)

SHAPE = (40, 36, 20)


@pytest.fixture
def store(make_store, random):
    return make_store([random.integers(-1000, 1000, SHAPE).astype(np.int16) for _ in range(3)])


def test_uniform_crops_lie_inside_and_reach_every_place(store, random) -> None:
    size = (38, 36, 30)
    starts = {UniformCrops(size).draw(store, random).crops[0].start for _ in range(200)}
    assert starts == {(x, 0, -5) for x in range(3)}


def test_foreground_crops_center_on_every_body_voxel_alike(make_store, random) -> None:
    volume = np.full((50, 30, 20), -1000, dtype=np.int16)
    volume[10:14, 10:14, 4:12] = 0
    volume[30:34, 10:18, 4:12] = 0
    store = make_store([volume])
    body = store.read_foreground(0)
    counts = np.zeros(body.shape)
    for _ in range(800):
        crop = ForegroundCrops((5, 5, 5)).draw(store, random).crops[0]
        center = np.array(crop.start) + 2
        counts[tuple(center)] += 1
    assert counts[~body].sum() == 0
    share = counts[:20].sum() / 800
    assert share == pytest.approx(body[:20].sum() / body.sum(), abs=0.06)
    assert counts.max() < 15  # 800 draws among 384 voxels


def test_a_lone_body_voxel_in_a_large_box_is_found(make_store, random) -> None:
    volume = np.full((60, 60, 60), -1000, dtype=np.int16)
    volume[0, 0, 0] = volume[59, 59, 59] = 100
    store = make_store([volume])
    assert store.read_foreground(0).sum() == 2
    starts = {ForegroundCrops((9, 9, 9)).draw(store, random).crops[0].start for _ in range(20)}
    assert starts == {(0, 0, 0), (51, 51, 51)}


@pytest.mark.parametrize("kind", [ForegroundCrops, UniformCrops])
def test_several_crops_are_of_one_scan_at_places_of_their_own(store, random, kind) -> None:
    drawn = [kind((9, 9, 9), count=3).draw(store, random).crops for _ in range(20)]
    assert {len(crops) for crops in drawn} == {3}
    assert {len({crop.scan for crop in crops}) for crops in drawn} == {1}
    assert {crops[0].scan for crops in drawn} == {0, 1, 2}
    assert len({crop.start for crops in drawn for crop in crops}) > 50
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        kind((9, 9, 9), count=0)


def test_label_crops_draw_classes_alike_and_voxels_alike(make_store, random) -> None:
    labels = np.zeros((100, 80, 70), dtype=np.uint8)
    labels[70:75, 70:75, 66:69] = 1
    labels[5:45, 5:45, 5:45] = 2
    volume = random.integers(-100, 100, labels.shape).astype(np.int16)
    store = make_store([volume], labels=[labels])
    policy = LabelCrops((3, 3, 1), foreground_share=1.0)
    centers = [
        tuple(np.add(policy.draw(store, random).crops[0].start, (1, 1, 0))) for _ in range(600)
    ]
    drawn = np.array([labels[center] for center in centers])
    assert (drawn > 0).all()
    assert (drawn == 1).mean() == pytest.approx(0.5, abs=0.06)
    small = {center for center in centers if labels[center] == 1}
    assert len(small) > 65
    anywhere = LabelCrops((3, 3, 1), foreground_share=0.0)
    starts = np.array([anywhere.draw(store, random).crops[0].start for _ in range(100)])
    assert starts.max(axis=0).tolist() > [90, 70, 60]


@pytest.mark.parametrize(("highest", "dtype"), [(1, np.uint8), (63, np.uint8), (300, np.int16)])
def test_labels_are_counted_chunk_by_chunk(make_store, random, highest: int, dtype) -> None:
    labels = random.integers(0, highest + 1, (70, 66, 20)).astype(dtype)
    labels[64:] = 0
    store = make_store([random.integers(-100, 100, labels.shape).astype(np.int16)], labels=[labels])
    counts = label_counts(store, 0)
    assert counts.shape == (labels.max() + 1, 4)
    for label in (1, highest):  # 0 is also what lies outside
        chunks = [labels[i : i + 64, j : j + 64] for i in (0, 64) for j in (0, 64)]
        assert counts[label].tolist() == [(chunk == label).sum() for chunk in chunks]


def test_an_empty_label_map_still_gives_crops(make_store, random) -> None:
    volume = random.integers(-100, 100, SHAPE).astype(np.int16)
    store = make_store([volume], labels=[np.zeros(SHAPE, dtype=np.uint8)])
    crop = LabelCrops((8, 8, 8), foreground_share=1.0).draw(store, random).crops[0]
    assert crop.size == (8, 8, 8)


def test_policies_without_a_meaning_are_refused(store) -> None:
    with pytest.raises(SelfscanError, match="3 of 3 scans without labels"):
        LabelCrops((4, 4, 4)).check(store)
    with pytest.raises(ValueError, match=r"three lengths .* got \(4, 0, 4\)"):
        UniformCrops((4, 0, 4))
    with pytest.raises(ValueError, match=r"within 0 to 1, got 1\.5"):
        LabelCrops((4, 4, 4), foreground_share=1.5)
