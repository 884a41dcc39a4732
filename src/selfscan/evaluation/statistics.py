"""Means with intervals, and paired differences with a test, of the arms of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import pandas as pd

from selfscan.evaluation.measures import DICE, Measure
from selfscan.evaluation.resampling import (
    RESAMPLES,
    Estimate,
    S,
    bootstrap,
    detectable,
    holm,
    permutation_p,
)

SCRATCH = "scratch"  # what fine-tuning from a checkpoint is measured against
LONG = "scratch-long"  # the same with the steps of pre-training added
RANDOM = "random"  # what frozen features are measured against: those of random weights
NOT_PRETRAINED = (SCRATCH, LONG, RANDOM)


def baseline_of(arms: Sequence[str]) -> str | None:
    """The arm that the others are measured against, if there is one and another."""
    found = next((arm for arm in (SCRATCH, RANDOM) if arm in arms), None)
    return found if len(set(arms)) > 1 else None


@dataclass(frozen=True)
class Effect:
    """How one arm differs from another on the same test cases.

    Attributes:
        arm: The arm in question.
        labels: Numbers of labelled cases that the difference is averaged over.
        difference: The score of the arm minus that of the baseline.
        deciding: The same with the interval that decides: wider where several arms are compared
            with one baseline, so that all of them together err 5 times in 100.
        p_value: Of the paired permutation test over patients, two-sided, corrected by Holm for the
            number of arms; NaN with one patient.
        smallest_p: What that test would give, uncorrected, if every patient agreed.
        detectable: The smallest true difference that this design finds four times in five.
        better: Patients that add to the difference, on average over runs.
        cases: Test cases that have a score.
        subjects: Patients that these cases are of.
        seeds: Runs of each arm at each number of labels.
    """

    arm: str
    labels: tuple[int, ...]
    difference: Estimate
    deciding: Estimate
    p_value: float
    smallest_p: float
    detectable: float
    better: int
    cases: int
    subjects: int
    seeds: int


def effects(
    cases: pd.DataFrame,
    arms: Sequence[str],
    *,
    baseline: str,
    labels: tuple[int, ...],
    measure: Measure = DICE,
) -> list[Effect]:
    """Compare arms with a baseline, all given in the rows of cases."""
    theirs = measure.sample(cases, baseline, labels)
    ours = [measure.sample(cases, arm, labels) for arm in arms]
    corrected = holm([permutation_p(sample, theirs) for sample in ours])
    return [
        measured(sample, theirs, arm=arm, labels=labels, p_value=p, arms=len(arms))
        for arm, sample, p in zip(arms, ours, corrected, strict=True)
    ]


def measured(
    ours: S,
    theirs: S,
    *,
    arm: str,
    labels: tuple[int, ...],
    p_value: float,
    arms: int,
    resamples: int = RESAMPLES,
) -> Effect:
    """The effect of one arm of several, whose corrected p-value is known."""
    difference, added = ours.minus(theirs), ours.swapping(theirs)
    subjects, level = len(added), 1 - 0.05 / arms
    interval = bootstrap(difference, resamples=resamples)
    return Effect(
        arm=arm,
        labels=labels,
        difference=interval,
        # Of a single arm it is the same interval.
        deciding=interval if arms == 1 else bootstrap(difference, level=level, resamples=resamples),
        p_value=p_value,
        smallest_p=max(2.0 ** (1 - subjects), 1 / (RESAMPLES + 1)),
        detectable=detectable(difference, level=level),
        better=int((added > 0).sum()),
        cases=ours.cases,
        subjects=subjects,
        seeds=len(difference.linear.scores),
    )


def summarize(
    cases: pd.DataFrame, *, baseline: str | None, measure: Measure = DICE
) -> pd.DataFrame:
    """One row an arm and number of labels: the score, and its difference to the baseline."""
    arms = list(cases["arm"].unique())
    counts = [int(count) for count in sorted(cases["labels"].unique())]
    compared = [[arm for arm in arms if arm not in NOT_PRETRAINED]]
    compared += [[arm] for arm in arms if arm in NOT_PRETRAINED and arm != baseline]
    effect_of = {
        (effect.arm, count): effect
        for count, group in product(counts, compared)
        if baseline is not None
        for effect in effects(cases, group, baseline=baseline, labels=(count,), measure=measure)
    }
    rows: list[dict[str, Any]] = []
    for arm, count in product(arms, counts):
        sample = measure.sample(cases, arm, (count,))
        value, grid = bootstrap(sample), sample.linear
        row = {"arm": arm, "labels": count, "seeds": len(grid.scores)}
        row |= {"cases": sample.cases, "subjects": len(grid.weights)}
        # Two runs that differ have intervals wider than what scores can be.
        row |= {
            measure.key: value.value,
            f"{measure.key}_low": max(value.low, 0.0),
            f"{measure.key}_high": min(value.high, 1.0),
        }
        row |= measure.beside(cases, arm, count)
        if (arm, count) in effect_of:
            found = effect_of[arm, count]
            change = found.difference
            row |= {"difference": change.value, "p_value": found.p_value}
            row |= {"difference_low": change.low, "difference_high": change.high}
        rows.append(row)
    return pd.DataFrame(rows)
