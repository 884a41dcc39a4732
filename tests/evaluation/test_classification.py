from __future__ import annotations

import math

import numpy as np
import pytest

from selfscan.class_metrics import auroc
from selfscan.evaluation.classification import estimate


def drawn(seed: int, *, count: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = np.arange(count) % classes
    scores = random.random((count, classes)).round(1) + 0.4 * np.eye(classes)[truth]
    return truth, scores / scores.sum(axis=1, keepdims=True)


def test_the_interval_holds_the_value_and_patients_come_whole() -> None:
    truth, scores = drawn(2, count=60, classes=2)
    alone = estimate(auroc, truth, scores, [str(i) for i in range(60)])
    assert alone.low < alone.value < alone.high
    # Six scans a patient: fewer things that could have come out differently.
    grouped = estimate(auroc, truth, scores, [str(i % 10) for i in range(60)])
    assert grouped.value == alone.value
    assert (grouped.low, grouped.high) != (alone.low, alone.high)
    assert math.isnan(estimate(auroc, truth, scores, ["one"] * 60).low)


def test_a_difference_is_paired() -> None:
    truth, scores = drawn(3, count=60, classes=2)
    names = [str(i) for i in range(60)]
    same = estimate(auroc, truth, scores, names, against=scores)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    perfect = np.eye(2)[truth]
    better = estimate(auroc, truth, perfect, names, against=scores)
    assert better.value == pytest.approx(1 - float(auroc(truth, scores, np.ones((1, 60)))[0]))
    assert better.low > 0
