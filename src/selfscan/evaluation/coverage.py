"""Few scans that stand for all: facility location on their embeddings, chosen greedily.

A set is as good as each scan is near to its nearest member. Greedy choice reaches 63% of the best
set's gain at least (Nemhauser, Wolsey and Fisher, 1978). Unlike the choice of what is farthest from
all others (k-center), it does not begin with outliers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

REFERENCES = 2000  # scans to be near to, at most; a sample stands for more
Floats = npt.NDArray[np.float32]


def standardized(features: Floats) -> Floats:
    """Features (N, F) with mean 0 and deviation 1, so that no channel counts more than others."""
    deviation = features.std(axis=0)
    scaled = (features - features.mean(axis=0)) / np.where(deviation > 1e-6, deviation, 1)
    return np.asarray(scaled, dtype=np.float32)


def choose(
    features: Floats,
    count: int,
    *,
    candidates: Sequence[int],
    already: Sequence[int] = (),
    groups: Sequence[str],
    seed: int = 0,
) -> list[tuple[int, float]]:
    """Choose scans so that all scans are near to a chosen one.

    Args:
        features: Standardized, (N, F).
        count: How many to choose.
        candidates: Numbers of the scans to choose from.
        already: Scans that count as chosen, as they have labels.
        groups: The patient of each scan, N of them; at most one scan of each is chosen.
        seed: Of the sample of scans to be near to, where there are many.

    Returns:
        Scan and gain, in the order chosen: by which share its choice lowers the mean distance from
        a scan to its nearest chosen one. Fewer than `count` where the patients run out.
    """
    references = np.arange(len(features))
    if len(references) > REFERENCES:
        random = np.random.default_rng(seed)
        references = np.sort(random.choice(references, REFERENCES, replace=False))
    targets = features[references]
    # Before anything is chosen, scans are as far as the farthest pair could be.
    nearest = np.full(len(references), 2 * np.linalg.norm(targets, axis=1).max(), np.float32)
    for number in already:
        nearest = np.minimum(nearest, _distances(targets, features[number]))
    taken = {groups[number] for number in already}
    open_ = [number for number in candidates if groups[number] not in taken]
    away = {number: _distances(targets, features[number]) for number in open_}
    chosen: list[tuple[int, float]] = []
    while open_ and len(chosen) < count:
        gains = [float(np.maximum(nearest - away[number], 0).mean()) for number in open_]
        best = open_[int(np.argmax(gains))]
        before = float(nearest.mean())
        chosen.append((best, max(gains) / before if before > 0 else 0.0))
        nearest = np.minimum(nearest, away[best])
        open_ = [number for number in open_ if groups[number] != groups[best]]
    return chosen


def _distances(targets: Floats, feature: Floats) -> Floats:
    return np.asarray(np.linalg.norm(targets - feature, axis=1), dtype=np.float32)
