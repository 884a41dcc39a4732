from __future__ import annotations

import math

import pandas as pd
import pytest
from planted import planted_scores

from selfscan.evaluation.measures import DICE, case_scores, grid
from selfscan.evaluation.resampling import bootstrap
from selfscan.evaluation.statistics import Effect, effects, summarize


def scores_of(values: dict[tuple[str, int, str, str], float]) -> pd.DataFrame:
    """Rows of `case_scores` from (arm, seed, subject, case) to the score, at 4 labels."""
    return pd.DataFrame(
        [
            {
                "arm": arm,
                "labels": 4,
                "seed": seed,
                "subject": subject,
                "case": case,
                "score": score,
            }
            for (arm, seed, subject, case), score in values.items()
        ]
    )


def the_effect(cases: pd.DataFrame) -> Effect:
    (found,) = effects(cases, ["models-genesis"], baseline="scratch", labels=(4, 8, 12))
    return found


def test_a_case_scores_the_mean_of_its_classes() -> None:
    rows = planted_scores(lift=0.0, cases=2, seeds=(0,), labels=(4,))
    scores = case_scores(rows)
    one = rows[(rows["arm"] == "scratch") & (rows["case"] == "case_000")]
    assert len(scores) == 4
    assert scores["score"].iloc[0] == pytest.approx(one["dice"].mean())


def test_a_class_without_a_score_is_left_out_of_its_case() -> None:
    rows = planted_scores(lift=0.0, cases=2, seeds=(0,), labels=(4,))
    rows.loc[0, "dice"] = math.nan
    assert case_scores(rows)["score"].iloc[0] == pytest.approx(rows.loc[1, "dice"])


def test_a_case_without_any_score_in_one_run_is_left_out_of_all() -> None:
    rows = planted_scores(lift=0.0, cases=3, seeds=(0, 1), labels=(4,))
    run = (rows["arm"] == "scratch") & (rows["seed"] == 1) & (rows["case"] == "case_001")
    rows.loc[run, "dice"] = math.nan
    assert set(case_scores(rows)["case"]) == {"case_000", "case_002"}


def test_the_mean_is_over_cases_though_patients_are_resampled() -> None:
    scores = scores_of({("a", 0, "p", "1"): 0.2, ("a", 0, "p", "2"): 0.4, ("a", 0, "q", "3"): 0.9})
    found = bootstrap(grid(scores, "a", (4,)))
    assert found.value == pytest.approx(0.5)
    # Patients come whole: a resample is all p, all q, or both. The root of 2 widens it to
    # 0.5 - 1.41 * 0.2 and 0.5 + 1.41 * 0.4.
    assert found.low == pytest.approx(0.5 - 0.2 * math.sqrt(2))
    assert found.high == pytest.approx(0.5 + 0.4 * math.sqrt(2))


def test_a_missing_run_is_an_error() -> None:
    scores = scores_of({("a", 0, "p", "1"): 0.2, ("a", 1, "q", "2"): 0.4})
    with pytest.raises(ValueError, match="incomplete"):
        grid(scores, "a", (4,))


def test_a_planted_lift_is_found_with_its_size() -> None:
    scores = planted_scores(lift=0.03)
    found = the_effect(scores)
    assert found.difference.value == pytest.approx(0.03, abs=0.01)
    assert found.difference.low > 0
    assert found.p_value < 0.01
    assert (found.cases, found.subjects, found.seeds) == (25, 25, 3)


def test_the_exact_p_value_of_four_patients_who_agree() -> None:
    scores = planted_scores(lift=0.2, cases=4)
    found = the_effect(scores)
    assert found.p_value == pytest.approx(2 / 2**4)
    assert found.better == 4
    assert found.smallest_p == pytest.approx(found.p_value)


def test_the_summary_has_a_row_an_arm_and_number_of_labels() -> None:
    table = summarize(planted_scores(lift=0.02), baseline="scratch")
    assert len(table) == 6
    assert table["difference"].isna().sum() == 3
    paired = table.set_index(["arm", "labels"])
    change = paired.loc[("models-genesis", 4), "dice"] - paired.loc[("scratch", 4), "dice"]
    assert paired.loc[("models-genesis", 4), "difference"] == pytest.approx(change)


def test_a_seed_that_fails_at_every_number_of_labels_counts_once() -> None:
    rows = planted_scores(lift=0.03)
    failed = (rows["arm"] == "models-genesis") & (rows["seed"] == 1)
    rows.loc[failed, "dice"] = 0.0
    found = the_effect(rows)
    assert found.difference.value < -0.1
    assert not found.difference.excludes_zero


def test_each_case_has_its_difference() -> None:
    rows = planted_scores(lift=0.0, cases=2, seeds=(0, 1), labels=(4,))
    rows["dice"] = 0.5
    rows.loc[(rows["arm"] == "models-genesis") & (rows["case"] == "case_001"), "dice"] = 0.8
    rows.loc[(rows["arm"] == "scratch") & (rows["seed"] == 1), "dice"] = 0.3
    table = DICE.paired(rows, baseline="scratch").set_index("case")
    assert list(table["difference"]) == pytest.approx([0.1, 0.4])
    assert list(table["arm"]) == ["models-genesis"] * 2


def test_several_arms_have_corrected_p_values_and_wider_deciding_intervals() -> None:
    scores = planted_scores(lift=0.02, arms=("scratch", "one", "two"))
    alone = effects(scores, ["one"], baseline="scratch", labels=(4, 8))[0]
    both = effects(scores, ["one", "two"], baseline="scratch", labels=(4, 8))
    assert both[0].difference == alone.difference
    assert both[0].deciding.low < alone.deciding.low
    assert alone.deciding == alone.difference
    assert both[0].p_value >= alone.p_value
    assert both[0].detectable > alone.detectable


def test_intervals_of_means_stay_within_what_dice_can_be() -> None:
    rows = planted_scores(lift=0.0, arms=("scratch",), labels=(4,), seeds=(0, 1), cases=6)
    rows.loc[rows["seed"] == 1, "dice"] = 0.05
    (row,) = summarize(rows, baseline=None).to_dict("records")
    assert (row["dice_low"], row["dice_high"]) == (0.0, 1.0)
