"""Means with intervals, and paired differences with a test, of the arms of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from selfscan.evaluation.resampling import (
    RESAMPLES,
    Estimate,
    Grid,
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
        difference: Mean Dice of the arm minus that of the baseline.
        deciding: The same with the interval that decides: wider where several arms are compared
            with one baseline, so that all of them together err 5 times in 100.
        p_value: Of the paired permutation test over patients, two-sided, corrected by Holm for the
            number of arms; NaN with one patient.
        smallest_p: What that test would give, uncorrected, if every patient agreed.
        detectable: The smallest true difference that this design finds four times in five.
        better: Patients that score higher, on average over runs, than with the baseline.
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


def case_scores(cases: pd.DataFrame, *, metric: str = "dice") -> pd.DataFrame:
    """One row a case and run: the mean over the classes that have a score.

    A case without a score in some run (no class of interest in it, none predicted) is left out of
    all runs, so that arms are always compared on the same cases.
    """
    keys = ["arm", "labels", "seed", "subject", "case"]
    scores = cases.groupby(keys, sort=False)[metric].mean().reset_index(name="score")
    incomplete = scores.loc[scores["score"].isna(), "case"].unique()
    return scores[~scores["case"].isin(incomplete)]


def grid(scores: pd.DataFrame, arm: str, labels: tuple[int, ...]) -> Grid:
    """Arrange the rows of `case_scores` for one arm.

    Raises:
        ValueError: A run or a case is missing.
    """
    rows = scores[(scores["arm"] == arm) & scores["labels"].isin(labels)]
    table = rows.pivot_table(index=["labels", "seed"], columns="subject", values="score")
    seeds = rows["seed"].nunique()
    if len(table) != len(labels) * seeds or table.isna().any(axis=None) or table.empty:
        raise ValueError(f"the scores of arm {arm!r} at {labels} labelled cases are incomplete")
    sizes = rows.groupby("subject")["case"].nunique().reindex(table.columns)
    array = table.to_numpy(dtype=np.float64).reshape(len(labels), seeds, -1)
    return Grid(array.mean(axis=0), sizes.to_numpy(dtype=np.float64))


def effects(
    scores: pd.DataFrame, arms: Sequence[str], *, baseline: str, labels: tuple[int, ...]
) -> list[Effect]:
    """Compare arms with a baseline, all given in the rows of `case_scores`."""
    theirs = grid(scores, baseline, labels)
    ours = [grid(scores, arm, labels) for arm in arms]
    corrected = holm([permutation_p(sample, theirs) for sample in ours])
    return [
        measured(sample, theirs, arm=arm, labels=labels, p_value=p, arms=len(arms))
        for arm, sample, p in zip(arms, ours, corrected, strict=True)
    ]


def measured(
    ours: Grid,
    theirs: Grid,
    *,
    arm: str,
    labels: tuple[int, ...],
    p_value: float,
    arms: int,
    resamples: int = RESAMPLES,
) -> Effect:
    """The effect of one arm of several, whose corrected p-value is known."""
    difference = Grid(ours.scores - theirs.scores, ours.weights)
    subjects, level = len(ours.weights), 1 - 0.05 / arms
    interval = bootstrap(difference, resamples=resamples)
    return Effect(
        arm=arm,
        labels=labels,
        difference=interval,
        deciding=bootstrap(difference, level=level, resamples=resamples),
        p_value=p_value,
        smallest_p=max(2.0 ** (1 - subjects), 1 / (RESAMPLES + 1)),
        detectable=detectable(difference, level=level),
        better=int((difference.scores.mean(axis=0) > 0).sum()),
        cases=int(ours.weights.sum()),
        subjects=subjects,
        seeds=len(ours.scores),
    )


def summarize(cases: pd.DataFrame, *, baseline: str | None) -> pd.DataFrame:
    """One row an arm and number of labels: mean Dice, and difference to the baseline."""
    scores = case_scores(cases)
    arms = list(cases["arm"].unique())
    counts = [int(count) for count in sorted(cases["labels"].unique())]
    compared = [[arm for arm in arms if arm not in NOT_PRETRAINED]]
    compared += [[arm] for arm in arms if arm in NOT_PRETRAINED and arm != baseline]
    effect_of = {
        (effect.arm, count): effect
        for count, group in product(counts, compared)
        if baseline is not None
        for effect in effects(scores, group, baseline=baseline, labels=(count,))
    }
    rows: list[dict[str, Any]] = []
    for arm, count in product(arms, counts):
        sample = grid(scores, arm, (count,))
        dice = bootstrap(sample)
        row = {"arm": arm, "labels": count, "seeds": len(sample.scores)}
        row |= {"cases": int(sample.weights.sum()), "subjects": len(sample.weights)}
        # Two runs that differ have intervals wider than what Dice can be.
        row |= {
            "dice": dice.value,
            "dice_low": max(dice.low, 0.0),
            "dice_high": min(dice.high, 1.0),
        }
        if (arm, count) in effect_of:
            found = effect_of[arm, count]
            change = found.difference
            row |= {"difference": change.value, "p_value": found.p_value}
            row |= {"difference_low": change.low, "difference_high": change.high}
        rows.append(row)
    return pd.DataFrame(rows)


def paired(cases: pd.DataFrame, *, baseline: str) -> pd.DataFrame:
    """One row an arm, number of labels and case: its score minus the baseline's, mean over runs."""
    means = case_scores(cases).groupby(["arm", "labels", "case"], sort=False)["score"].mean()
    table = means.reset_index()
    theirs = table[table["arm"] == baseline].drop(columns="arm")
    rows = table[table["arm"] != baseline].merge(
        theirs, on=["labels", "case"], suffixes=("", "_baseline")
    )
    return rows.assign(difference=rows["score"] - rows["score_baseline"])
