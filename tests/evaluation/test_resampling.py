from __future__ import annotations

import math

import numpy as np
import pytest

from selfscan.evaluation.resampling import (
    Estimate,
    Floats,
    Grid,
    bootstrap,
    detectable,
    holm,
    permutation_p,
)
from selfscan.evaluation.statistics import measured
from selfscan.evaluation.verdict import judge


def planted(
    random: np.random.Generator, *, lift: float, seeds: int = 3, patients: int = 25
) -> tuple[Grid, Grid]:
    """Scores of an arm and of its baseline: patients, their change, runs and cells all vary."""

    def runs(level: Floats | float) -> Floats:
        luck = random.normal(0, 0.005, (seeds, 1))
        return level + luck + random.normal(0, 0.03, (seeds, patients))

    difficulty = random.normal(0.7, 0.06, patients)
    change = random.normal(lift, 0.04, patients)
    ones = np.ones(patients)
    return Grid(runs(difficulty + change), ones), Grid(runs(difficulty), ones)


def share_of_verdicts(lifts: tuple[float, ...], *, simulations: int) -> dict[str, float]:
    """How often the verdict of any arm, given so many against one baseline, is `helps` or so."""
    random = np.random.default_rng(0)
    found = {"helps": 0, "hurts": 0, "any": 0}
    for _ in range(simulations):
        pairs = [planted(random, lift=lift) for lift in lifts]
        p_values = holm([permutation_p(*pair, resamples=999) for pair in pairs])
        answers = {
            judge(
                measured(*pair, arm="a", labels=(4,), p_value=p, arms=len(lifts), resamples=999),
                baseline="scratch",
            ).answer
            for pair, p in zip(pairs, p_values, strict=True)
        }
        found["helps"] += "helps" in answers
        found["hurts"] += "hurts" in answers
        found["any"] += bool(answers & {"helps", "hurts"})
    return {answer: count / simulations for answer, count in found.items()}


@pytest.mark.slow
def test_under_no_effect_six_verdicts_of_a_hundred_are_wrong_at_most() -> None:
    assert share_of_verdicts((0.0,), simulations=500)["any"] <= 0.06


@pytest.mark.slow
def test_several_arms_together_err_no_more_often_than_one() -> None:
    assert share_of_verdicts((0.0, 0.0, 0.0), simulations=100)["any"] <= 0.06


@pytest.mark.slow
def test_a_lift_beyond_what_is_detectable_is_found_and_so_is_a_loss() -> None:
    assert share_of_verdicts((0.06,), simulations=40)["helps"] >= 0.95
    assert share_of_verdicts((-0.06,), simulations=40)["hurts"] >= 0.95


@pytest.mark.slow
def test_four_experiments_of_five_find_the_detectable_difference() -> None:
    random = np.random.default_rng(1)
    pairs = [planted(random, lift=0.0) for _ in range(100)]
    changes = [Grid(ours.scores - theirs.scores, ours.weights) for ours, theirs in pairs]
    size = float(np.median([detectable(change) for change in changes]))
    lifted = [Grid(change.scores + size, change.weights) for change in changes]
    assert 0.7 <= np.mean([bootstrap(change, resamples=999).low > 0 for change in lifted]) <= 0.92


def test_the_detectable_difference_of_many_patients_is_that_of_the_textbook() -> None:
    values = np.random.default_rng(2).normal(0, 0.1, (1, 400))
    expected = (1.960 + 0.842) * values.std(ddof=1) / 20
    assert detectable(Grid(values, np.ones(400))) == pytest.approx(expected, rel=1e-3)
    assert math.isnan(detectable(Grid(values[:, :1], np.ones(1))))


def test_few_runs_that_differ_ask_for_students_t() -> None:
    # Two runs 0.2 apart and patients that agree: one degree of freedom, whose quantile is 12.7.
    sample = Grid(np.array([[0.4, 0.4, 0.4], [0.6, 0.6, 0.6]]), np.ones(3))
    assert sample.variances == pytest.approx((0.01, 0.0))
    assert sample.critical(0.975) == pytest.approx(12.706, abs=1e-3)
    # Runs that agree leave the normal quantile.
    assert Grid(np.array([[0.1, 0.5], [0.1, 0.5]]), np.ones(2)).critical(0.975) == pytest.approx(
        1.960, abs=1e-3
    )


def test_a_wider_level_gives_a_wider_interval() -> None:
    sample = Grid(np.random.default_rng(3).normal(size=(3, 12)), np.ones(12))
    narrow, wide = bootstrap(sample), bootstrap(sample, level=0.99)
    assert wide.low < narrow.low
    assert wide.high > narrow.high


def test_holm_by_hand() -> None:
    # Sorted 0.01, 0.03, 0.04 times 3, 2, 1 are 0.03, 0.06, 0.04; none may fall below one before.
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


def test_zero_at_an_end_is_not_left_out() -> None:
    assert not Estimate(0.1, 0.0, 0.2).excludes_zero
    assert Estimate(-0.1, -0.2, -0.01).excludes_zero


def test_one_patient_has_no_interval() -> None:
    found = bootstrap(Grid(np.full((3, 1), 0.5), np.ones(1)))
    assert found.value == 0.5
    assert math.isnan(found.low)


def test_the_interval_shrinks_as_cases_come() -> None:
    random = np.random.default_rng(0)
    few, many = random.normal(0.7, 0.1, (3, 10)), random.normal(0.7, 0.1, (3, 1000))
    narrow, wide = bootstrap(Grid(many, np.ones(1000))), bootstrap(Grid(few, np.ones(10)))
    assert narrow.high - narrow.low < 0.3 * (wide.high - wide.low)


def test_the_interval_of_many_cases_agrees_with_the_normal_one() -> None:
    values = np.random.default_rng(1).normal(0.7, 0.1, (1, 400))
    found = bootstrap(Grid(values, np.ones(400)))
    half = 1.96 * values.std(ddof=1) / 20
    assert found.low == pytest.approx(found.value - half, abs=0.002)
    assert found.high == pytest.approx(found.value + half, abs=0.002)


def test_runs_that_differ_widen_the_interval() -> None:
    values = np.random.default_rng(0).normal(0.7, 0.02, (3, 50))
    unlucky = values + np.array([[-0.05], [0.0], [0.05]])
    narrow, wide = (bootstrap(Grid(scores, np.ones(50))) for scores in (values, unlucky))
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)


def test_equal_seeds_give_equal_intervals() -> None:
    sample = Grid(np.random.default_rng(0).normal(size=(3, 9)), np.ones(9))
    assert bootstrap(sample) == bootstrap(sample)
    assert bootstrap(sample) != bootstrap(sample, seed=1)
