"""What the numbers say in plain words, and what they do not say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from selfscan.evaluation.statistics import NOT_PRETRAINED, RANDOM, Effect, case_scores, effects

SIGNIFICANT = 0.05
FEW_SUBJECTS = 20
FEW_SEEDS = 3
LARGEST = 0.5  # a difference in Dice that nobody needs a test for
Answer = Literal["helps", "hurts", "no evidence", "undecided"]
_HEADLINES: dict[Answer, str] = {
    "helps": "Pre-training helped.",
    "hurts": "Pre-training hurt.",
    "no evidence": "No evidence that pre-training helped.",
    "undecided": "Too few runs or patients to tell.",
}
_FROZEN_HEADLINES: dict[Answer, str] = {
    "helps": "Pre-trained features know more than random ones.",
    "hurts": "Pre-trained features know less than random ones.",
    "no evidence": "No evidence that pre-trained features know more than random ones.",
    "undecided": "Too few runs or patients to tell.",
}


@dataclass(frozen=True)
class Verdict:
    """The answer for one arm.

    Attributes:
        arm: The pre-trained arm.
        answer: In two words at most.
        headline: In one short sentence.
        sentence: With the numbers it rests on.
    """

    arm: str
    answer: Answer
    headline: str
    sentence: str


def verdicts(cases: pd.DataFrame, *, baseline: str) -> list[Verdict]:
    """Judge each pre-trained arm against the baseline, by the mean over all numbers of labels."""
    scores = case_scores(cases)
    counts = tuple(int(count) for count in sorted(cases["labels"].unique()))
    arms = [arm for arm in cases["arm"].unique() if arm not in (*NOT_PRETRAINED, baseline)]
    found = effects(scores, arms, baseline=baseline, labels=counts)
    return [judge(effect, baseline=baseline) for effect in found]


def judge(found: Effect, *, baseline: str) -> Verdict:
    """Say whether an arm helps.

    It does (or hurts) where the deciding interval leaves out zero and the permutation test agrees,
    both with an allowance for the number of arms. One run an arm, or one patient, decides nothing:
    two runs of the same arm differ too.
    """
    change = found.difference
    if found.seeds < 2 or found.subjects < 2:
        answer: Answer = "undecided"
    elif found.deciding.excludes_zero and found.p_value <= SIGNIFICANT:
        answer = "helps" if change.value > 0 else "hurts"
    else:
        answer = "no evidence"
    headline = (_FROZEN_HEADLINES if baseline == RANDOM else _HEADLINES)[answer]
    side = "above" if change.value >= 0 else "below"
    scores = (
        f"Averaged over {_listed(found.labels)} labelled cases, {found.arm} scores "
        f"{abs(change.value):.3f} Dice {side} {baseline}"
    )
    if math.isnan(change.low):
        return Verdict(found.arm, answer, headline, f"{scores}, in one patient.")
    support = (
        f"(95% interval {_signed(change.low)} to {_signed(change.high)}, permutation test "
        f"p {p_text(found.p_value)}; {found.cases} test cases, "
        f"{found.seeds} {'run' if found.seeds == 1 else 'runs'} each)."
    )
    support += f" {found.better} of {found.subjects} patients are segmented better."
    if answer == "no evidence" and found.detectable > LARGEST:
        support += " So few runs and patients, so unlike each other, could not have shown any."
    elif answer == "no evidence":
        support += (
            f" A true difference of {found.detectable:.3f} or more would have been found four "
            "times in five."
        )
    return Verdict(found.arm, answer, headline, f"{scores} {support}")


def cautions(cases: pd.DataFrame, *, baseline: str | None) -> list[str]:
    """What a reader must keep in mind, from the size of the experiment."""
    scores = case_scores(cases)
    subjects, seeds = scores["subject"].nunique(), scores["seed"].nunique()
    notes = _failed_runs(cases)
    if subjects < FEW_SUBJECTS:
        notes.append(
            f"Few test patients ({subjects}): the interval is rough, and if every patient agreed "
            f"the paired test would give p {p_text(max(2.0 ** (1 - subjects), 1e-4))}."
        )
    if seeds == 1:
        notes.append(
            "One run an arm: two runs of the same arm differ by luck, often by 0.01 to 0.02 Dice, "
            "and the interval does not know it. Run at least three seeds."
        )
    elif seeds < FEW_SEEDS:
        notes.append(
            f"Few runs an arm ({seeds}): the interval allows for the luck of a run, but with fewer "
            f"than {FEW_SEEDS} runs it still misses the truth more often than 5 times in 100."
        )
    notes.append(
        "All runs at one number of labels use the same labelled cases: other cases to label could "
        "give another answer."
    )
    arms = len(set(cases["arm"]) - {baseline, *NOT_PRETRAINED})
    if baseline is not None and arms > 1:
        notes.append(
            f"{arms} arms were compared with one baseline: p-values are corrected for it (Holm), "
            f"and a verdict asks that an interval of {100 - 5 / arms:.1f}% leaves out zero."
        )
    unscored = int(cases.loc[cases["dice"].isna(), "case"].nunique())
    if len(dropped := set(cases["case"]) - set(scores["case"])):
        notes.append(f"Left out, for want of any class to score: {', '.join(sorted(dropped))}.")
    elif unscored:
        notes.append(
            f"In {unscored} test {'case' if unscored == 1 else 'cases'} some class is absent from "
            "both truth and prediction; it has no score there and is left out of means."
        )
    return notes


def p_text(value: float) -> str:
    """A p-value with its sign of relation, as it is printed after `p`."""
    if math.isnan(value):
        return "not defined"
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def _failed_runs(cases: pd.DataFrame) -> list[str]:
    """Runs that never found a structure: training failed there, whatever the mean says."""
    expected = cases[cases["empty"].isin(["neither", "prediction"])]
    missed = (expected["empty"] == "prediction").groupby(
        [expected[key] for key in ("arm", "labels", "seed", "class")], sort=False
    )
    never = missed.all()
    failed = never[never].reset_index()
    notes = []
    for arm, rows in failed.groupby("arm", sort=False):
        runs = len(cases.loc[cases["arm"] == arm, ["labels", "seed"]].drop_duplicates())
        count = len(rows[["labels", "seed"]].drop_duplicates())
        notes.append(
            f"{count} of {runs} runs of {arm} never found {', '.join(rows['class'].unique())} in "
            "any test case: training failed there. Try another learning rate or more steps before "
            "believing the difference."
        )
    return notes


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _listed(counts: Sequence[int]) -> str:
    *most, last = [str(count) for count in counts]
    return f"{', '.join(most)} and {last}" if most else last
