from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from selfscan.class_metrics import Metric, auroc, balanced_accuracy


def drawn(seed: int, *, count: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = np.arange(count) % classes
    scores = random.random((count, classes)).round(1) + 0.4 * np.eye(classes)[truth]
    return truth, scores / scores.sum(axis=1, keepdims=True)


def once(metric: Metric, truth: np.ndarray, scores: np.ndarray) -> float:
    return float(metric(truth, scores, np.ones((1, len(truth))))[0])


def test_the_area_by_hand() -> None:
    # Of the four pairs two are in order, one is not and one is a tie.
    chances = np.array([0.1, 0.6, 0.4, 0.6])
    found = once(auroc, np.array([0, 0, 1, 1]), np.stack([1 - chances, chances], axis=1))
    assert found == pytest.approx((2 + 0.5) / 4)


def test_scores_agree_with_those_of_scikit_learn() -> None:
    truth, two = drawn(0, count=31, classes=2)
    assert once(auroc, truth, two) == pytest.approx(roc_auc_score(truth, two[:, 1]))
    truth, three = drawn(1, count=40, classes=3)
    assert once(auroc, truth, three) == pytest.approx(
        roc_auc_score(truth, three, multi_class="ovr")
    )
    said = three.argmax(axis=1)
    assert once(balanced_accuracy, truth, three) == pytest.approx(
        balanced_accuracy_score(truth, said)
    )


def test_a_class_that_is_missing_leaves_no_score() -> None:
    _, scores = drawn(0, count=4, classes=2)
    assert math.isnan(once(auroc, np.zeros(4, np.int64), scores))
    assert math.isnan(once(balanced_accuracy, np.zeros(4, np.int64), scores))


def test_weights_count_a_scan_as_often_as_it_is_drawn() -> None:
    truth, scores = drawn(4, count=20, classes=3)
    often = np.arange(20) % 3 + 1
    twice = np.repeat(np.arange(20), often)
    for metric in (auroc, balanced_accuracy):
        weighted = metric(truth, scores, often[None].astype(float))[0]
        assert weighted == pytest.approx(once(metric, truth[twice], scores[twice]))
