"""AUROC of an arm, or a difference of two, resampled as a whole: it is no mean over patients.

AUROC is the mean over pairs of a scan of the class and another one, so it is computed anew in each
resample, out of how often each patient was drawn. The test swaps ranks, since probabilities of two
networks need not be on one scale (Bandos et al., Statistics in Medicine 2005).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from selfscan.class_metrics import Classes, Floats, in_order, judged_classes
from selfscan.evaluation.resampling import RESAMPLES, Grid, resampled

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sides:
    """The two kinds of scans that a class tells apart.

    Attributes:
        ours: Numbers of the scans of the class, (P,).
        others: Numbers of all others, (N,).
    """

    ours: Ints
    others: Ints


@dataclass(frozen=True)
class Ranking:
    """How the runs of one arm rank the test scans, or of two arms: how the two differ.

    Attributes:
        orders: For each judged class, (seeds, P, N): in which share of the numbers of labels the
            scan of the class is above the other; ties count half. Differences lie in [-1, 1].
        sides: The scans of each judged class, and the others.
        patients: The number of the patient of each scan, from 0.
        ranks: For each judged class, ranks by its probability within a run, (labels, seeds, scans);
            none of a difference.
    """

    orders: tuple[Floats, ...]
    sides: tuple[Sides, ...]
    patients: Ints
    ranks: tuple[Floats, ...] = ()

    @classmethod
    def of(cls, probabilities: Floats, classes: Classes, patients: Ints) -> Ranking:
        """Rank scans by probabilities (labels, seeds, scans, K) of the K classes; all K occur."""
        judged = judged_classes(probabilities.shape[-1])
        sides = tuple(Sides(*(np.flatnonzero(is_k) for is_k in _split(classes, k))) for k in judged)
        ranks = tuple(rankdata(probabilities[..., k], axis=-1) for k in judged)
        orders = tuple(_orders(r, r, side) for r, side in zip(ranks, sides, strict=True))
        return cls(orders, sides, patients, ranks)

    @property
    def cases(self) -> int:
        """Test scans."""
        return len(self.patients)

    @property
    def subjects(self) -> int:
        """Patients."""
        return int(self.patients.max()) + 1

    @property
    def mean(self) -> float:
        """The area, averaged over classes, numbers of labels and seeds, or the difference."""
        return float(np.mean([orders.mean() for orders in self.orders]))

    @cached_property
    def linear(self) -> Grid:
        """What each patient adds to the area (Hoeffding's projection, as in DeLong's variance).

        The score of a patient is the area plus the number of patients times what its scans are
        above or below it: each scan of the class by its own share of pairs in order, over P, each
        other scan by its own, over N.
        """
        count, parts = self.subjects, []
        for orders, side in zip(self.orders, self.sides, strict=True):
            area = orders.mean(axis=(1, 2))[:, None]
            excess = np.zeros((len(orders), count))
            for ours, axis in ((side.ours, 2), (side.others, 1)):
                shares = (orders.mean(axis=axis) - area) / len(ours)
                excess += shares @ np.eye(count)[self.patients[ours]]
            parts.append(area + count * excess)
        return Grid(np.mean(parts, axis=0), np.ones(count))

    def minus(self, other: Ranking) -> Ranking:
        """The difference in orders; areas are linear in them."""
        pairs = zip(self.orders, other.orders, strict=True)
        return Ranking(tuple(a - b for a, b in pairs), self.sides, self.patients)

    def draws(self, *, resamples: int = RESAMPLES, seed: int = 0) -> tuple[Floats, Floats]:
        """Shares of runs and of patients; patients without both sides of a class are drawn anew."""
        runs, patients = resampled(
            len(self.orders[0]), np.ones(self.subjects), resamples=resamples, seed=seed
        )
        random = np.random.default_rng((seed, 1))
        while len(lacking := np.flatnonzero(self._lack_a_side(patients))):
            again = random.multinomial(
                self.subjects, np.full(self.subjects, 1 / self.subjects), size=len(lacking)
            )
            patients[lacking] = again / self.subjects
        return runs, patients

    def resampled_means(self, runs: Floats, patients: Floats) -> Floats:
        """The area in each resample, (R,)."""
        areas = self._areas(patients[:, self.patients])
        of_runs = self._areas(np.ones((1, self.cases)))
        seeds, subjects = runs.shape[1], patients.shape[1]
        stretch = [math.sqrt(n / (n - 1)) - 1 if n > 1 else 0.0 for n in (seeds, subjects)]
        of_seeds = of_runs - of_runs.mean()
        of_patients = areas.mean(axis=1, keepdims=True) - of_runs.mean()
        means: Floats = (runs * (areas + stretch[0] * of_seeds + stretch[1] * of_patients)).sum(1)
        return means

    def swapping(self, other: Ranking) -> Floats:
        """What each patient adds to the difference.

        With a = +1 where a scan keeps its arms and -1 where they are swapped, the difference of the
        areas of mixed ranks is the sum of a * addend over scans: what depends on two scans swapped
        together cancels between the two arms.
        """
        added = np.zeros(self.cases)
        for mine, theirs, side in zip(self.ranks, other.ranks, self.sides, strict=True):
            same, cross, crossed, others = (
                _orders(first, second, side).mean(axis=0)
                for first in (mine, theirs)
                for second in (mine, theirs)
            )
            pairs = 2 * same.size * len(self.ranks)
            added[side.ours] += (same + cross - crossed - others).sum(axis=1) / pairs
            added[side.others] += (same - cross + crossed - others).sum(axis=0) / pairs
        by_patient: Floats = added @ np.eye(self.subjects)[self.patients]
        return by_patient

    def _areas(self, weights: Floats) -> Floats:
        """The area of each seed, (R, seeds), where scans count by weights (R, scans)."""
        areas = []
        for orders, side in zip(self.orders, self.sides, strict=True):
            ours, others = weights[:, side.ours], weights[:, side.others]
            whole = ours.sum(axis=1) * others.sum(axis=1)
            right = [((ours @ order) * others).sum(axis=1) / whole for order in orders]
            areas.append(np.stack(right, axis=1))
        return np.asarray(np.mean(areas, axis=0))

    def _lack_a_side(self, patients: Floats) -> npt.NDArray[np.bool_]:
        weights = patients[:, self.patients]
        sides = [part for side in self.sides for part in (side.ours, side.others)]
        lacking = [weights[:, part].sum(axis=1) == 0 for part in sides]
        return np.asarray(np.any(lacking, axis=0), dtype=np.bool_)


def _split(classes: Classes, k: int) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    return classes == k, classes != k


def _orders(first: Floats, second: Floats, side: Sides) -> Floats:
    """Ranks (labels, seeds, scans) of the class against those of others: means over labels."""
    orders = [
        [in_order(a[side.ours], b[side.others]) for a, b in zip(mine, theirs, strict=True)]
        for mine, theirs in zip(first, second, strict=True)
    ]
    return np.asarray(np.mean(orders, axis=0))
