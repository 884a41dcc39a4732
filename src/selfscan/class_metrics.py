"""Scores of classified scans: AUROC and balanced accuracy, each in many resamples at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Classes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Metric = Callable[[Classes, Floats, Floats], Floats]


def auroc(classes: Classes, probabilities: Floats, weights: Floats) -> Floats:
    """Area under the receiver's curve: of the second class of two, else the mean one against rest.

    It is the share of pairs of a scan of the class and another one whose probabilities are in
    order; ties count half.

    Args:
        classes: True ones, (N,).
        probabilities: Shape (N, K).
        weights: How often each scan counts, in R resamples, (R, N).

    Returns:
        Shape (R,); NaN where a class is missing.
    """
    areas = []
    for k in judged_classes(probabilities.shape[1]):
        ours, others = classes == k, classes != k
        order = in_order(probabilities[ours, k], probabilities[others, k])
        right = ((weights[:, ours] @ order) * weights[:, others]).sum(axis=1)
        areas.append(_ratio(right, weights[:, ours].sum(axis=1) * weights[:, others].sum(axis=1)))
    return np.asarray(np.mean(areas, axis=0))


def balanced_accuracy(classes: Classes, probabilities: Floats, weights: Floats) -> Floats:
    """The mean over classes of the share of their scans that is given the right class.

    The arguments and the answer are as those of `auroc`.
    """
    right = weights * (probabilities.argmax(axis=1) == classes)
    shares = [
        _ratio(right[:, classes == k].sum(axis=1), weights[:, classes == k].sum(axis=1))
        for k in range(probabilities.shape[1])
    ]
    return np.asarray(np.mean(shares, axis=0))


def judged_classes(count: int) -> tuple[int, ...]:
    """The classes whose areas are averaged: the second of two, as that of the first is equal."""
    return (1,) if count == 2 else tuple(range(count))


def in_order(ours: Floats, others: Floats) -> Floats:
    """For each pair 1 where the first is above the second, 0.5 where they tie, else 0; (P, N)."""
    ahead = ours[:, None] - others
    order: Floats = (ahead > 0) + 0.5 * (ahead == 0)
    return order


METRICS: dict[str, Metric] = {"AUROC": auroc, "balanced accuracy": balanced_accuracy}


def _ratio(part: Any, whole: Any) -> Any:
    """The quotient, NaN where the whole is nothing."""
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan)
