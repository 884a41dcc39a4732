from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score

from selfscan.class_metrics import Floats, auroc
from selfscan.evaluation.ranking import Ranking
from selfscan.evaluation.resampling import bootstrap, holm, permutation_p
from selfscan.evaluation.statistics import measured
from selfscan.evaluation.verdict import judge


def chances(
    random: np.random.Generator, truth: np.ndarray, *, runs: tuple[int, int], classes: int = 2
) -> Floats:
    logits = random.normal(size=(*runs, len(truth), classes)) + np.eye(classes)[truth]
    return np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)


def drawn(
    seed: int, *, cases: int = 12, runs: tuple[int, int] = (2, 3), classes: int = 2
) -> tuple[np.ndarray, Floats, Floats]:
    random, truth = np.random.default_rng(seed), np.arange(cases) % classes
    return truth, *(chances(random, truth, runs=runs, classes=classes) for _ in range(2))


@pytest.mark.parametrize("classes", [2, 3])
def test_the_mean_is_that_of_scikit_learns_areas(classes: int) -> None:
    truth, given, _ = drawn(0, cases=18, classes=classes)
    found = Ranking.of(given, truth, np.arange(18))
    areas = [
        roc_auc_score(truth, one[:, 1] if classes == 2 else one, multi_class="ovr")
        for one in given.reshape(6, 18, classes)
    ]
    assert found.mean == pytest.approx(np.mean(areas))
    assert found.linear.mean == pytest.approx(found.mean)


def test_a_resample_is_the_area_of_the_cases_drawn() -> None:
    truth, given, _ = drawn(1, cases=10, runs=(1, 1), classes=3)
    patients = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2, 3])
    found = Ranking.of(given, truth, patients)
    runs, shares = found.draws(resamples=20)
    assert np.allclose(shares.sum(axis=1), 1)
    expected = auroc(truth, given[0, 0], shares[:, patients])
    stretch = np.sqrt(4 / 3)
    assert found.resampled_means(runs, shares) == pytest.approx(
        found.mean + stretch * (expected - found.mean)
    )


def test_each_resample_has_both_sides_of_each_class() -> None:
    truth = np.array([0] * 9 + [1])
    given = chances(np.random.default_rng(0), truth, runs=(1, 1))
    _, shares = Ranking.of(given, truth, np.arange(10)).draws(resamples=500)
    assert (shares[:, 9] > 0).all()
    assert (shares[:, 9] < 1).all()


@pytest.mark.parametrize("classes", [2, 3])
def test_swapping_turns_signs_as_mixed_ranks_turn_areas(classes: int) -> None:
    truth, ours, theirs = drawn(2, cases=8, classes=classes)
    patients = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    first, second = (Ranking.of(given, truth, patients) for given in (ours, theirs))
    added = first.swapping(second)
    assert added.sum() == pytest.approx(first.mean - second.mean)
    ranks = [rankdata(given, axis=2) for given in (ours, theirs)]
    for swapped in product([False, True], repeat=4):
        turned = np.array(swapped)[patients][None, None, :, None]
        mixed = [np.where(turned, ranks[1 - i], ranks[i]) for i in (0, 1)]
        areas = [
            np.mean([auroc(truth, run, np.ones((1, 8))) for run in mix.reshape(6, 8, classes)])
            for mix in mixed
        ]
        signs = np.where(swapped, -1, 1)
        assert (signs * added).sum() == pytest.approx(areas[0] - areas[1])


def test_equal_arms_do_not_differ() -> None:
    truth, given, _ = drawn(3)
    ours = Ranking.of(given, truth, np.arange(12))
    # The same order on another scale: ranks are what counts.
    theirs = Ranking.of(given**3, truth, np.arange(12))
    assert ours.minus(theirs).mean == 0
    found = bootstrap(ours.minus(theirs))
    assert (found.low, found.high) == (0, 0)
    assert permutation_p(ours, theirs) == 1


def test_the_interval_of_many_patients_is_delongs() -> None:
    random, truth = np.random.default_rng(4), np.arange(400) % 2
    given = chances(random, truth, runs=(1, 1))
    found = Ranking.of(given, truth, np.arange(400))
    score = given[0, 0, :, 1]
    order = (score[truth == 1][:, None] > score[truth == 0]).astype(float)
    error = np.sqrt(order.mean(1).var(ddof=1) / 200 + order.mean(0).var(ddof=1) / 200)
    assert np.sqrt(found.linear.variances[1]) == pytest.approx(error, rel=0.01)
    interval = bootstrap(found)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * error, rel=0.04)


def share_of_verdicts(
    lift: float, *, simulations: int, patients: int = 40, classes: int = 2
) -> dict[str, float]:
    """How often arms with logits farther apart by `lift` are said to help, or any difference.

    Patients are as hard for one arm as for the other; each has cells and runs of its own luck.
    """
    random, truth = np.random.default_rng(0), np.arange(patients) % classes
    right, everyone = np.eye(classes)[truth], np.arange(patients)
    answers = []
    for _ in range(simulations):
        hard = random.normal(0, 1, (1, 1, patients, classes))
        arms = []
        for height in (1.0 + lift, 1.0):
            own = random.normal(0, 0.5, (1, 1, patients, classes))
            luck = random.normal(0, 0.1, (1, 3, 1, 1)) * right
            noise = random.normal(0, 0.5, (1, 3, patients, classes))
            arms.append(Ranking.of(height * right + hard + own + luck + noise, truth, everyone))
        (p,) = holm([permutation_p(*arms, resamples=999)])
        found = measured(*arms, arm="a", labels=(4,), p_value=p, arms=1, resamples=999)
        answers.append(judge(found, baseline="scratch").answer)
    kinds = {"helps": {"helps"}, "hurts": {"hurts"}, "any": {"helps", "hurts"}}
    return {
        name: float(np.mean([answer in among for answer in answers]))
        for name, among in kinds.items()
    }


@pytest.mark.slow
def test_under_no_effect_six_verdicts_of_a_hundred_are_wrong_at_most() -> None:
    assert share_of_verdicts(0.0, simulations=500)["any"] <= 0.06


@pytest.mark.slow
def test_few_patients_of_three_classes_err_no_more_often() -> None:
    assert share_of_verdicts(0.0, simulations=100, patients=18, classes=3)["any"] <= 0.06


@pytest.mark.slow
def test_a_planted_effect_is_found_with_its_sign() -> None:
    assert share_of_verdicts(2.0, simulations=40)["helps"] >= 0.95
    assert share_of_verdicts(-1.4, simulations=40)["hurts"] >= 0.8
