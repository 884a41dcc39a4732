"""What the numbers say in plain words, and what they do not say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from selfscan.evaluation.measures import DICE, Measure
from selfscan.evaluation.statistics import NOT_PRETRAINED, RANDOM, Effect, effects

SIGNIFICANT = 0.05
FEW_SUBJECTS = 20
FEW_SEEDS = 3
LARGEST = 0.5  # a difference that nobody needs a test for
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


def verdicts(cases: pd.DataFrame, *, baseline: str, measure: Measure = DICE) -> list[Verdict]:
    """Judge each pre-trained arm against the baseline, by the mean over all numbers of labels."""
    counts = tuple(int(count) for count in sorted(cases["labels"].unique()))
    arms = [arm for arm in cases["arm"].unique() if arm not in (*NOT_PRETRAINED, baseline)]
    found = effects(cases, arms, baseline=baseline, labels=counts, measure=measure)
    return [judge(effect, baseline=baseline, measure=measure) for effect in found]


def judge(found: Effect, *, baseline: str, measure: Measure = DICE) -> Verdict:
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
        f"{abs(change.value):.3f} {measure.name} {side} {baseline}"
    )
    if math.isnan(change.low):
        return Verdict(found.arm, answer, headline, f"{scores}, in one patient.")
    support = (
        f"(95% interval {_signed(change.low)} to {_signed(change.high)}, permutation test "
        f"p {p_text(found.p_value)}; {found.cases} test cases, "
        f"{found.seeds} {'run' if found.seeds == 1 else 'runs'} each)."
    )
    support += f" {found.better} of {found.subjects} patients are {measure.done_better}."
    if answer == "no evidence" and found.detectable > LARGEST:
        support += " So few runs and patients, so unlike each other, could not have shown any."
    elif answer == "no evidence":
        support += (
            f" A true difference of {found.detectable:.3f} or more would have been found four "
            "times in five."
        )
    return Verdict(found.arm, answer, headline, f"{scores} {support}")


def cautions(cases: pd.DataFrame, *, baseline: str | None, measure: Measure = DICE) -> list[str]:
    """What a reader must keep in mind, from the size of the experiment."""
    scores = measure.by_case(cases)
    subjects, seeds = scores["subject"].nunique(), scores["seed"].nunique()
    notes = measure.failures(cases)
    if subjects < FEW_SUBJECTS:
        notes.append(
            f"Few test patients ({subjects}): the interval is rough, and if every patient agreed "
            f"the paired test would give p {p_text(max(2.0 ** (1 - subjects), 1e-4))}."
        )
    if seeds == 1:
        notes.append(
            f"One run an arm: two runs of the same arm differ by luck{measure.luck}, "
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
    return notes + measure.gaps(cases)


def p_text(value: float) -> str:
    """A p-value with its sign of relation, as it is printed after `p`."""
    if math.isnan(value):
        return "not defined"
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _listed(counts: Sequence[int]) -> str:
    *most, last = [str(count) for count in counts]
    return f"{', '.join(most)} and {last}" if most else last
