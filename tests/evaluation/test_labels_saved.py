from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from planted import planted_scores

from selfscan.evaluation.labels_saved import LabelsNeeded, labels_needed, labels_saved
from selfscan.evaluation.resampling import Estimate, Grid


def flat_scores(levels: dict[str, tuple[float, ...]], *, patients: int = 4) -> pd.DataFrame:
    """Rows of cases: each arm scores the same in every patient at 4, 8 and 16 labels."""
    return pd.DataFrame(
        [
            {"arm": arm, "labels": count, "seed": seed, "subject": p, "case": p, "dice": level}
            for arm, values in levels.items()
            for count, level in zip((4, 8, 16), values, strict=True)
            for seed in (0, 1)
            for p in map(str, range(patients))
        ]
    )


def needed_of(scratch: tuple[float, ...], arm: tuple[float, ...]) -> list[float]:
    scores = flat_scores({"scratch": scratch, "arm": arm})
    return [found.needed.value for found in labels_needed(scores, "arm", baseline="scratch")]


def test_half_way_up_is_half_way_on_the_logarithm() -> None:
    found = needed_of((0.5, 0.6, 0.8), (0.55, 0.7, 0.8))
    assert found == pytest.approx([math.sqrt(4 * 8), math.sqrt(8 * 16), 16])


def test_what_the_curve_does_not_reach_is_infinite_and_what_it_begins_above_the_fewest() -> None:
    assert needed_of((0.5, 0.6, 0.7), (0.4, 0.6, 0.9)) == pytest.approx([4, 8, math.inf])


def test_a_curve_that_falls_stays_level() -> None:
    # 8 labels scored less than 4, so that nothing between them is reached by more labels.
    assert needed_of((0.5, 0.4, 0.7), (0.6, 0.45, 0.7)) == pytest.approx([math.sqrt(8 * 16), 4, 16])


def test_the_planted_saving_lies_in_its_interval() -> None:
    # From scratch gains 0.04 a doubling: a lift of 0.02 is worth half a doubling.
    rows = planted_scores(lift=0.02, labels=(4, 8, 16), seeds=tuple(range(5)), run_spread=0.001)
    first, *_, last = labels_saved(rows, baseline="scratch")
    assert first.needed.value == pytest.approx(4 * math.sqrt(2), rel=0.15)
    assert first.needed.low < 4 * math.sqrt(2) < first.needed.high
    assert math.isinf(last.needed.value)


def test_few_runs_that_differ_widen_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = planted_scores(lift=0.0, labels=(4, 8, 16), seeds=(0, 1), run_spread=0.02)
    widened = labels_saved(rows, baseline="scratch")[1].needed
    monkeypatch.setattr(Grid, "widening", lambda *_: 1.0)
    narrow = labels_saved(rows, baseline="scratch")[1].needed
    assert widened.value == narrow.value
    assert widened.low < narrow.low or widened.high > narrow.high
    assert widened.low <= narrow.low < narrow.high <= widened.high


def test_one_number_of_labels_or_one_patient_has_no_curve() -> None:
    assert labels_saved(planted_scores(lift=0.1, labels=(4,)), baseline="scratch") == []
    assert labels_saved(planted_scores(lift=0.1, cases=1), baseline="scratch") == []


def test_numbers_as_they_are_read() -> None:
    found = LabelsNeeded("arm", 8, Estimate(10.26, 4.0, math.inf), (4, 16))
    assert found.texts == ("10.3", "at most 4", "over 16")
    assert found.saved_text == "2.3"
    assert LabelsNeeded("arm", 8, Estimate(math.inf, 4, 9), (4, 16)).saved_text == "over 8"
    assert LabelsNeeded("arm", 16, Estimate(math.inf, 4, 9), (4, 16)).saved_text == "some"
    assert LabelsNeeded("arm", 8, Estimate(4.0, 4, 9), (4, 16)).saved_text == "at most −4.0"


def test_the_score_of_an_arm_is_its_own() -> None:
    rows = planted_scores(lift=0.0, arms=("scratch", "one", "two"))
    rows.loc[rows["arm"] == "two", "dice"] += 0.5
    values = [
        [found.needed.value for found in labels_needed(rows, arm, baseline="scratch")]
        for arm in ("one", "two")
    ]
    assert np.isinf(values[1]).all()
    assert np.isfinite(values[0][0])
