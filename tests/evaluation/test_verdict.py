from __future__ import annotations

import math
from dataclasses import replace

import pytest
from planted import planted_scores

from selfscan.evaluation.statistics import Effect, Estimate
from selfscan.evaluation.verdict import Answer, cautions, judge, p_text, verdicts


def an_effect(low: float, high: float, *, p: float = 0.01, seeds: int = 3) -> Effect:
    return Effect(
        arm="models-genesis",
        labels=(4, 8),
        difference=Estimate((low + high) / 2, low, high),
        deciding=Estimate((low + high) / 2, low, high),
        p_value=p,
        smallest_p=1e-4,
        detectable=0.0214,
        better=21,
        cases=25,
        subjects=25,
        seeds=seeds,
    )


@pytest.mark.parametrize(
    ("lift", "answer"), [(0.04, "helps"), (-0.04, "hurts"), (0.0, "no evidence")]
)
def test_planted_truth_gets_the_right_verdict(lift: float, answer: Answer) -> None:
    (found,) = verdicts(planted_scores(lift=lift), baseline="scratch")
    assert found.answer == answer


def test_the_sentence_quotes_the_interval_and_the_size_of_the_experiment() -> None:
    found = judge(an_effect(0.01, 0.03), baseline="scratch")
    assert found.headline == "Pre-training helped."
    assert found.sentence == (
        "Averaged over 4 and 8 labelled cases, models-genesis scores 0.020 Dice above scratch "
        "(95% interval +0.010 to +0.030, permutation test p = 0.010; 25 test cases, 3 runs each). "
        "21 of 25 patients are segmented better."
    )


def test_interval_and_test_must_agree() -> None:
    assert judge(an_effect(0.01, 0.03, p=0.2), baseline="scratch").answer == "no evidence"


def test_no_evidence_comes_with_what_could_have_been_found() -> None:
    sentence = judge(an_effect(-0.01, 0.03, p=0.2), baseline="scratch").sentence
    assert sentence.endswith(
        "A true difference of 0.021 or more would have been found four times in five."
    )
    assert "four times" not in judge(an_effect(0.01, 0.03), baseline="scratch").sentence


def test_what_could_have_shown_nothing_says_so() -> None:
    found = replace(an_effect(-0.9, 0.9, p=0.2), detectable=1.1)
    assert judge(found, baseline="scratch").sentence.endswith("could not have shown any.")


def test_several_arms_decide_by_the_wider_interval() -> None:
    found = replace(an_effect(0.001, 0.03), deciding=Estimate(0.015, -0.002, 0.033))
    assert judge(found, baseline="scratch").answer == "no evidence"


def test_one_run_decides_nothing() -> None:
    found = judge(an_effect(0.1, 0.3, seeds=1), baseline="scratch")
    assert found.answer == "undecided"
    assert "1 run each" in found.sentence


def test_one_patient_decides_nothing() -> None:
    (found,) = verdicts(planted_scores(lift=0.2, cases=1), baseline="scratch")
    assert found.answer == "undecided"
    assert found.sentence.endswith("in one patient.")


def test_few_patients_and_runs_are_said() -> None:
    notes = " ".join(cautions(planted_scores(lift=0.0, cases=6, seeds=(0, 1)), baseline="scratch"))
    assert "Few test patients (6)" in notes
    assert "p = 0.031" in notes
    assert "Few runs an arm (2)" in notes


def test_a_single_run_and_several_arms_are_said() -> None:
    arms = ("scratch", "one", "two")
    notes = " ".join(cautions(planted_scores(lift=0.0, arms=arms, seeds=(0,)), baseline="scratch"))
    assert "One run an arm" in notes
    assert "2 arms were compared" in notes
    assert "an interval of 97.5%" in notes


def test_runs_that_never_found_a_structure_are_said_first() -> None:
    rows = planted_scores(lift=0.0)
    failed = (rows["arm"] == "models-genesis") & (rows["seed"] == 1) & (rows["label"] == 2)
    rows.loc[failed, ["dice", "empty"]] = [0.0, "prediction"]
    notes = cautions(rows, baseline="scratch")
    assert notes[0].startswith("3 of 9 runs of models-genesis never found posterior")
    assert not any(
        "never found" in note for note in cautions(planted_scores(lift=0.0), baseline="scratch")
    )


def test_classes_without_a_score_are_said() -> None:
    rows = planted_scores(lift=0.0)
    rows.loc[rows["case"] == "case_003", "dice"] = math.nan
    assert any("case_003" in note for note in cautions(rows, baseline="scratch"))
    rows = planted_scores(lift=0.0)
    rows.loc[(rows["case"] == "case_003") & (rows["label"] == 1), "dice"] = math.nan
    assert any("In 1 test case some class" in note for note in cautions(rows, baseline="scratch"))


def test_p_values_in_print() -> None:
    assert p_text(0.0001) == "< 0.001"
    assert p_text(0.0312) == "= 0.031"
    assert p_text(math.nan) == "not defined"
