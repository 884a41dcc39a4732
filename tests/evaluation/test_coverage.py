from __future__ import annotations

import numpy as np
import pytest

from selfscan.evaluation import coverage
from selfscan.evaluation.coverage import choose, standardized

# Three groups on a line, the middle of each at 0, 10 and 30, and an outlier at 100.
LINE = np.array([-1, 0, 1, 9, 10, 11, 29, 30, 31, 100], np.float32)[:, None]
NAMES = [str(number) for number in range(len(LINE))]


def test_the_middle_of_each_group_is_chosen_before_an_outlier() -> None:
    chosen = [i for i, _ in choose(LINE[:9], 3, candidates=range(9), groups=NAMES[:9])]
    assert sorted(chosen) == [1, 4, 7]
    everything = [i for i, _ in choose(LINE, 1, candidates=range(10), groups=NAMES)]
    assert everything != [9]


def test_what_has_labels_is_not_covered_again() -> None:
    chosen = choose(LINE[:9], 2, candidates=range(9), already=[4], groups=NAMES[:9])
    assert [i for i, _ in chosen] == [7, 1]


def test_gains_by_hand_fall_as_scans_come() -> None:
    # A label at 0 leaves the scans 0, 3, 4 and 5 away; one at 4 too leaves 0, 1, 0 and 1.
    points = np.array([[0], [3], [4], [5]], np.float32)
    first, second = choose(points, 2, candidates=[1, 2, 3], already=[0], groups=list("abcd"))
    assert first == (2, pytest.approx(10 / 12))
    assert second == (1, pytest.approx(1 / 2))


def test_no_patient_is_chosen_twice_or_beside_its_labels() -> None:
    groups = ["ann", "ann", "ann", "bob", "bob", "bob", "cis", "cis", "cis"]
    chosen = choose(LINE[:9], 9, candidates=range(9), already=[0], groups=groups)
    assert [groups[i] for i, _ in chosen] == ["cis", "bob"]


def test_a_sample_stands_for_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage, "REFERENCES", 50)
    random = np.random.default_rng(0)
    middles = random.permutation(np.repeat([0.0, 10.0, 30.0], 60))
    many = (middles + random.normal(0, 0.3, 180)).astype(np.float32)[:, None]
    chosen = choose(many, 3, candidates=range(180), groups=[str(i) for i in range(180)])
    assert sorted(round(float(many[i, 0]), -1) for i, _ in chosen) == [0, 10, 30]


def test_standardized_channels_count_alike_and_constant_ones_nothing() -> None:
    found = standardized(np.array([[1, 100, 5], [3, 300, 5]], np.float32))
    assert found.tolist() == [[-1, -1, 0], [1, 1, 0]]
