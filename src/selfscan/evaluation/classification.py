"""The score of classified scans, or a difference of scores, with an interval over patients."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from selfscan.class_metrics import Classes, Floats, Metric
from selfscan.evaluation.resampling import RESAMPLES, Estimate, resampled


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
