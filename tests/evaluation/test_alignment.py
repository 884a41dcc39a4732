"""Pairs that share as few patients as can be, and overlaps that can be counted by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_store import write_small_store

from selfscan.evaluation.alignment import arms, draw_pairs, moved_labels, moved_volume, score_pair
from selfscan.scans.store import Store
from selfscan.training.matching import Matched
from selfscan.training.registration import Registration


def test_as_long_as_patients_last_no_two_pairs_share_one() -> None:
    subjects = [f"p{i // 2}" for i in range(40)]
    pairs = draw_pairs(subjects, 10, seed=3)
    assert len({subjects[scan] for pair in pairs for scan in pair}) == 20
    more = draw_pairs(subjects, 25, seed=3)
    assert more[:10] == pairs
    uses = Counter(subjects[scan] for pair in more for scan in pair)
    assert set(uses.values()) == {2, 3}
    assert draw_pairs(subjects, 10, seed=4) != pairs


@pytest.mark.parametrize("count", [11, 99])
def test_pairs_are_of_different_patients_and_none_comes_twice(count: int) -> None:
    pairs = draw_pairs("AABC", count, seed=0)
    # Ordered pairs of four scans, less those of A with itself.
    assert len(pairs) == len(set(pairs)) == min(count, 10)
    assert all("AABC"[moving] != "AABC"[fixed] for moving, fixed in pairs)


@pytest.fixture
def scans(tmp_path: Path) -> Store:
    return Store(write_small_store(tmp_path)).select(splits=["test"])


def shift_onto(scans: Store, pair: tuple[int, int]) -> Registration:
    """The whole shift between the balls of two scans, half of it in the matrix."""
    shift = np.subtract(*(np.argwhere(scans.read_labels(i)).mean(axis=0) for i in pair))
    matrix, affine = np.eye(4), np.array(scans[pair[0]].affine)
    matrix[:3, 3] = shift / 2
    displacements = np.empty((3, 16, 16, 16))
    displacements[:] = (shift / 2)[:, None, None, None]
    return Registration(affine, affine, matrix, displacements)


def test_a_shift_that_fits_lays_ball_on_ball(scans: Store) -> None:
    pair = (0, 2)
    matched = Matched(*(scans.read(i).astype(np.float32) for i in pair), shift_onto(scans, pair))
    rows = score_pair(scans, pair, matched)
    assert [row["arm"] for row in rows] == ["identity", "affine only", "warp"]
    dice = [row["dice"] for row in rows]
    assert dice[0] < dice[1] < dice[2] == 1
    moving, fixed = (scans.read_labels(i) == 1 for i in pair)
    assert dice[0] == pytest.approx(2 * (moving & fixed).sum() / (moving.sum() + fixed.sum()))
    correlation = [row["correlation"] for row in rows]
    assert correlation[0] < correlation[1] < correlation[2]
    assert {row["folding"] for row in rows} == {0}
    assert {row["structure"] for row in rows} == {"ball"}
    assert (rows[0]["moving"], rows[0]["fixed"]) == (scans[0].id, scans[2].id)
    assert rows[0]["moving_subject"] == scans[0].subject


def test_what_is_moved_lies_on_the_fixed_grid(scans: Store) -> None:
    pair = (1, 3)
    maps = arms(shift_onto(scans, pair))
    np.testing.assert_array_equal(moved_volume(scans, pair, maps["identity"]), scans.read(1))
    np.testing.assert_array_equal(moved_labels(scans, pair, maps["warp"]), scans.read_labels(3))
    far = replace(maps["identity"], matrix=np.diag([1.0, 1, 1, 1]) + np.eye(4, k=3) * 99)
    assert set(np.unique(moved_volume(scans, pair, far))) == {-1024}
    assert not moved_labels(scans, pair, far).any()


def test_a_label_that_one_scan_lacks_has_no_row(scans: Store, monkeypatch) -> None:
    read = Store.read_labels
    monkeypatch.setattr(Store, "read_labels", lambda store, i: read(store, i) * (2 if i else 1))
    matched = Matched(
        *(scans.read(i).astype(np.float32) for i in (0, 2)), shift_onto(scans, (0, 2))
    )
    assert score_pair(scans, (0, 2), matched) == []
    both = score_pair(scans, (2, 3), matched)
    assert {(row["label"], row["structure"]) for row in both} == {(2, "label 2")}
