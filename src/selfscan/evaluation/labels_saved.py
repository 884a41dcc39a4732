"""How many labelled cases training from scratch needs to score what a pre-trained arm scores."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from selfscan.evaluation.measures import DICE, Measure
from selfscan.evaluation.resampling import Estimate, Floats
from selfscan.evaluation.statistics import NOT_PRETRAINED


@dataclass(frozen=True)
class LabelsNeeded:
    """Labelled cases that the baseline needs for the score of an arm.

    Attributes:
        arm: The arm.
        labels: Labelled cases that the arm had.
        needed: Those that the baseline needs, with the 95% interval; infinite where its curve ends
            below the score, and the fewest tried where it begins above.
        tried: The fewest and the most labelled cases that the baseline was trained with.
    """

    arm: str
    labels: int
    needed: Estimate
    tried: tuple[int, int]

    @property
    def texts(self) -> tuple[str, str, str]:
        """The value and the ends of its interval, such as `6.3`, `at most 4` and `over 12`."""
        fewest, most = self.tried

        def text(value: float) -> str:
            if math.isinf(value):
                return f"over {most}"
            return f"at most {fewest}" if value <= fewest else f"{value:.1f}"

        return text(self.needed.value), text(self.needed.low), text(self.needed.high)

    @property
    def saved_text(self) -> str:
        """What is saved, such as `2.3` or `over 8`; negative where pre-training costs labels."""
        value = self.needed.value
        if math.isinf(value):
            return f"over {self.tried[1] - self.labels}" if self.tried[1] > self.labels else "some"
        at_most = "at most " if value <= self.tried[0] else ""
        return at_most + f"{value - self.labels:.1f}".replace("-", "−")


def labels_saved(
    cases: pd.DataFrame, *, baseline: str, measure: Measure = DICE
) -> list[LabelsNeeded]:
    """What the baseline needs for the score of each pre-trained arm at each number of labels."""
    arms = [arm for arm in cases["arm"].unique() if arm not in (*NOT_PRETRAINED, baseline)]
    return [
        found
        for arm in arms
        for found in labels_needed(cases, arm, baseline=baseline, measure=measure)
    ]


def labels_needed(
    cases: pd.DataFrame, arm: str, *, baseline: str, measure: Measure = DICE
) -> list[LabelsNeeded]:
    """For each number of labels of an arm, what the baseline needs to reach the same score.

    The baseline's score is read between the numbers tried along straight lines over the logarithm
    of the number; where more labels scored less, the curve stays level. The interval is that of the
    crossed bootstrap, drawn for both arms and all numbers of labels alike; how far the arm is ahead
    of the baseline at the same number is widened where runs are few (`Grid.widening`), as the
    interval of that difference is.

    Args:
        cases: Rows of test cases.
        arm: The arm in question.
        baseline: The arm whose curve is read.
        measure: What is compared.

    Returns:
        One entry a number of labels; none where there is one number only, or one patient.
    """
    counts = [int(count) for count in sorted(cases["labels"].unique())]
    theirs = [measure.sample(cases, baseline, (count,)) for count in counts]
    if len(counts) < 2 or len(theirs[0].linear.weights) < 2:
        return []
    draws = theirs[0].draws()
    curve = np.stack([sample.resampled_means(*draws) for sample in theirs], axis=1)
    level = np.array([[sample.mean for sample in theirs]])
    found = []
    for place, count in enumerate(counts):
        ours = measure.sample(cases, arm, (count,))
        ahead = ours.minus(theirs[place])
        drawn = ahead.resampled_means(*draws)
        widened = ahead.mean + ahead.linear.widening(0.975) * (drawn - ahead.mean)
        several = _reached_at(curve, curve[:, place] + widened, counts)
        low, high = np.quantile(several, (0.025, 0.975), method="nearest")
        value = float(_reached_at(level, np.array([ours.mean]), counts)[0])
        needed = Estimate(value, float(low), float(high))
        found.append(LabelsNeeded(arm, count, needed, (counts[0], counts[-1])))
    return found


def _reached_at(curves: Floats, scores: Floats, counts: list[int]) -> Floats:
    """Where curves (R, L) over counts (L) reach scores (R,); infinite where they never do."""
    rising = np.maximum.accumulate(curves, axis=1)
    place = (rising >= scores[:, None]).argmax(axis=1)
    rows, before = np.arange(len(scores)), np.maximum(place - 1, 0)
    low, high = rising[rows, before], rising[rows, place]
    share = (scores - low) / np.where(high > low, high - low, 1.0)
    places = np.log(np.asarray(counts, dtype=np.float64))
    reached = np.exp(places[before] + share * (places[place] - places[before]))
    reached = np.where(rising[:, 0] >= scores, counts[0], reached)
    answer: Floats = np.where(rising[:, -1] >= scores, reached, np.inf)
    return answer
