"""Scores of classified scans with intervals: AUROC and balanced accuracy, patients resampled."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from selfscan.evaluation.resampling import RESAMPLES, Estimate, resampled

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
    count = probabilities.shape[1]
    areas = []
    for k in [1] if count == 2 else range(count):
        ours, others = classes == k, classes != k
        score = probabilities[:, k]
        ahead = score[ours][:, None] - score[others]
        order = (ahead > 0) + 0.5 * (ahead == 0)
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


METRICS: dict[str, Metric] = {"AUROC": auroc, "balanced accuracy": balanced_accuracy}


def estimate(
    metric: Metric,
    classes: Classes,
    probabilities: Floats,
    subjects: Sequence[str],
    *,
    against: Floats | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """The metric, or its difference to that of other probabilities, with a 95% interval.

    Patients are resampled with all their scans; resamples that lack a class are left out.

    Args:
        metric: Of the classes (N,) and probabilities (N, K).
        classes: True ones.
        probabilities: Given ones.
        subjects: The patient of each scan.
        against: Other probabilities of the same scans, whose metric is subtracted.
        resamples: How many.
        seed: Of the resamples.
    """
    _, patient = np.unique(np.asarray(subjects), return_inverse=True)
    patients = int(patient.max()) + 1
    _, drawn = resampled(1, np.ones(patients), resamples=resamples, seed=seed)
    weights = np.concatenate([np.ones((1, len(classes))), drawn[:, patient]])
    values = metric(classes, probabilities, weights)
    if against is not None:
        values = values - metric(classes, against, weights)
    whole, several = float(values[0]), values[1:]
    kept = several[~np.isnan(several)]
    if patients < 2 or not len(kept):
        return Estimate(whole, math.nan, math.nan)
    low, high = np.quantile(kept, (0.025, 0.975))
    return Estimate(whole, float(low), float(high))


def _ratio(part: Any, whole: Any) -> Any:
    """The quotient, NaN where the whole is nothing."""
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan)
