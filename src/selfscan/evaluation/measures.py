"""What arms are compared by: the mean Dice of cases, or the area under the receiver's curve.

A measure knows how the rows of test cases become a score that can be resampled.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from selfscan.class_metrics import auroc, balanced_accuracy
from selfscan.evaluation.ranking import Ranking
from selfscan.evaluation.resampling import Grid

CHANCE = 0.5  # the area of a coin
FEW_CASES = 10  # of a class


class Measure(ABC):
    """How arms are compared.

    Attributes:
        key: As tables call it.
        name: As people call it.
        long_name: As a heading has it.
        of_a_case: What `by_case` gives.
        done_better: What happens to a patient that scores higher.
        luck: How far two runs of one arm may lie apart, as far as it is known.
    """

    key: ClassVar[str]
    name: ClassVar[str]
    long_name: ClassVar[str]
    of_a_case: ClassVar[str]
    done_better: ClassVar[str]
    luck: ClassVar[str] = ""

    @abstractmethod
    def sample(self, cases: pd.DataFrame, arm: str, labels: tuple[int, ...]) -> Any:
        """The `Sample` of an arm at numbers of labels, out of the rows of all test cases.

        Raises:
            ValueError: A run or a case is missing.
        """

    @abstractmethod
    def by_run(self, cases: pd.DataFrame) -> pd.Series:
        """The score of each run, by `arm`, `labels` and `seed`."""

    @abstractmethod
    def by_case(self, cases: pd.DataFrame) -> pd.DataFrame:
        """One row an arm, number of labels, run and case: `score`, and `subject`."""

    def failures(self, cases: pd.DataFrame) -> list[str]:
        """Sentences about runs that learned nothing."""
        return []

    def gaps(self, cases: pd.DataFrame) -> list[str]:
        """Sentences about what test cases cannot tell."""
        return []

    def value(self, cases: pd.DataFrame) -> float:
        """The score of one run."""
        return float(self.by_run(cases).iloc[0])

    def beside(self, cases: pd.DataFrame, arm: str, labels: int) -> dict[str, float]:
        """What else a table says of an arm."""
        return {}

    def paired(self, cases: pd.DataFrame, *, baseline: str) -> pd.DataFrame:
        """One row an arm, number of labels and case: its score minus the baseline's, over runs."""
        scores = self.by_case(cases)
        means = scores.groupby(["arm", "labels", "case"], sort=False)["score"].mean()
        table = means.reset_index()
        theirs = table[table["arm"] == baseline].drop(columns="arm")
        rows = table[table["arm"] != baseline].merge(
            theirs, on=["labels", "case"], suffixes=("", "_baseline")
        )
        return rows.assign(difference=rows["score"] - rows["score_baseline"])


class MeanDice(Measure):
    """Dice of the classes of a case, averaged over cases."""

    key, name, long_name, done_better = "dice", "Dice", "mean Dice", "segmented better"
    of_a_case = "Dice"
    luck = ", often by 0.01 to 0.02 Dice"

    def sample(self, cases: pd.DataFrame, arm: str, labels: tuple[int, ...]) -> Grid:
        """Scores of seeds and patients."""
        return grid(case_scores(cases), arm, labels)

    def by_run(self, cases: pd.DataFrame) -> pd.Series:
        """Means over cases."""
        return case_scores(cases).groupby(["arm", "labels", "seed"], sort=False)["score"].mean()

    def by_case(self, cases: pd.DataFrame) -> pd.DataFrame:
        """Means over classes."""
        return case_scores(cases)

    def failures(self, cases: pd.DataFrame) -> list[str]:
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
                f"{count} of {runs} runs of {arm} never found "
                f"{', '.join(rows['class'].unique())} in any test case: training failed there. Try "
                "another learning rate or more steps before believing the difference."
            )
        return notes

    def gaps(self, cases: pd.DataFrame) -> list[str]:
        """Cases where a class, or all of them, have no score."""
        unscored = int(cases.loc[cases["dice"].isna(), "case"].nunique())
        if len(dropped := set(cases["case"]) - set(case_scores(cases)["case"])):
            return [f"Left out, for want of any class to score: {', '.join(sorted(dropped))}."]
        if not unscored:
            return []
        return [
            f"In {unscored} test {'case' if unscored == 1 else 'cases'} some class is absent from "
            "both truth and prediction; it has no score there and is left out of means."
        ]


class MeanAUROC(Measure):
    """The area under the receiver's curve over all test cases, of several classes the mean."""

    key, name, long_name, done_better = "auroc", "AUROC", "AUROC", "ranked better"
    of_a_case = "probability of the true class"

    def sample(self, cases: pd.DataFrame, arm: str, labels: tuple[int, ...]) -> Ranking:
        """Ranks of test cases."""
        rows = cases[(cases["arm"] == arm) & cases["labels"].isin(labels)]
        rows = rows.sort_values(["labels", "seed", "case"])
        names, seeds = probability_columns(rows), rows["seed"].nunique()
        one = rows.drop_duplicates("case")
        runs = len(labels) * seeds
        if not len(rows) or len(rows) != runs * len(one) or rows[names].isna().any(axis=None):
            raise ValueError(f"the scores of arm {arm!r} at {labels} labelled cases are incomplete")
        given = rows[names].to_numpy().reshape(len(labels), seeds, len(one), len(names))
        _, patients = np.unique(one["subject"], return_inverse=True)
        return Ranking.of(given, class_numbers(one), patients)

    def by_run(self, cases: pd.DataFrame) -> pd.Series:
        """The area of each."""
        return self._of_runs(cases, auroc)

    def by_case(self, cases: pd.DataFrame) -> pd.DataFrame:
        """The probability of the true class."""
        names, classes = probability_columns(cases), class_numbers(cases)
        given = cases[names].to_numpy()[np.arange(len(cases)), classes]
        return cases[["arm", "labels", "seed", "subject", "case"]].assign(score=given)

    def failures(self, cases: pd.DataFrame) -> list[str]:
        """Arms that rank cases no better than chance, on average over runs at the most labels."""
        most = cases[cases["labels"] == cases["labels"].max()]
        means = self.by_run(most).groupby("arm", sort=False).mean()
        return [
            f"{arm} ranks test cases no better than chance (AUROC {area:.3f}) with the most "
            "labels: it may not have learned the task. Try another learning rate or more steps."
            for arm, area in means.items()
            if area <= CHANCE
        ]

    def gaps(self, cases: pd.DataFrame) -> list[str]:
        """Classes of few test cases, which decide how sure an area is."""
        counts = cases.drop_duplicates("case")["class"].value_counts()
        name, count = str(counts.index[-1]), int(counts.iloc[-1])
        if count >= FEW_CASES:
            return []
        return [
            f"Only {count} of {int(counts.sum())} test cases are of the class {name}: its ranking "
            "rests on them, whatever the number of the others."
        ]

    def beside(self, cases: pd.DataFrame, arm: str, labels: int) -> dict[str, float]:
        """Balanced accuracy, averaged over runs."""
        rows = cases[(cases["arm"] == arm) & (cases["labels"] == labels)]
        return {"balanced_accuracy": float(self._of_runs(rows, balanced_accuracy).mean())}

    def _of_runs(self, cases: pd.DataFrame, metric: Any) -> pd.Series:
        names = probability_columns(cases)
        found = {
            run: metric(class_numbers(rows), rows[names].to_numpy(), np.ones((1, len(rows))))[0]
            for run, rows in cases.groupby(["arm", "labels", "seed"], sort=False)
        }
        index = pd.MultiIndex.from_tuples(found, names=["arm", "labels", "seed"])
        return pd.Series(list(found.values()), index=index, dtype=float)


DICE, AUROC = MeanDice(), MeanAUROC()


def measure_of(classes: object) -> Measure:
    """AUROC where there is a table of classes, else Dice."""
    return DICE if classes is None else AUROC


def probability_columns(cases: pd.DataFrame) -> list[str]:
    """The columns of the classes' probabilities, such as `p(well)`, in the order of the classes."""
    return [name for name in cases.columns if name.startswith("p(") and name.endswith(")")]


def class_numbers(cases: pd.DataFrame) -> np.ndarray[Any, Any]:
    """The number of the true class of each row, (N,)."""
    order = {name[2:-1]: number for number, name in enumerate(probability_columns(cases))}
    numbers: np.ndarray[Any, Any] = cases["class"].map(order).to_numpy(dtype=np.int64)
    return numbers


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
