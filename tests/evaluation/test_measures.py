from __future__ import annotations

import numpy as np
import pytest
from planted_classes import planted_probabilities
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from selfscan.evaluation.labels_saved import labels_saved
from selfscan.evaluation.measures import AUROC, DICE, measure_of
from selfscan.evaluation.roc_figure import mean_curve
from selfscan.evaluation.statistics import summarize
from selfscan.evaluation.verdict import cautions, verdicts


def test_a_table_of_classes_asks_for_areas() -> None:
    assert measure_of(None) is DICE
    assert measure_of("classes.csv") is AUROC


def test_a_summary_holds_areas_and_balanced_accuracy() -> None:
    cases = planted_probabilities(lift=1.0, labels=(4, 8), seeds=(0, 1), cases=30)
    table = summarize(cases, baseline="scratch", measure=AUROC).set_index(["arm", "labels"])
    runs = cases[(cases["arm"] == "scratch") & (cases["labels"] == 8)].groupby("seed")
    areas = [roc_auc_score(run["class"] == "well", run["p(well)"]) for _, run in runs]
    said = [np.where(run["p(well)"] > 0.5, "well", "ill") for _, run in runs]
    right = [
        balanced_accuracy_score(run["class"], s) for (_, run), s in zip(runs, said, strict=True)
    ]
    row = table.loc[("scratch", 8)]
    assert row["auroc"] == pytest.approx(np.mean(areas))
    assert row["balanced_accuracy"] == pytest.approx(np.mean(right))
    assert 0 <= row["auroc_low"] < row["auroc"] < row["auroc_high"] <= 1
    change = table.loc[("models-genesis", 8), "auroc"] - row["auroc"]
    assert table.loc[("models-genesis", 8), "difference"] == pytest.approx(change)


def test_a_missing_case_is_an_error() -> None:
    cases = planted_probabilities(lift=0.0, labels=(4,), cases=10)
    with pytest.raises(ValueError, match="incomplete"):
        AUROC.sample(cases.drop(index=3), "scratch", (4,))


def test_a_pair_of_scores_a_case_is_of_its_true_class() -> None:
    cases = planted_probabilities(lift=0.0, labels=(4,), seeds=(0,), cases=4)
    row = AUROC.paired(cases, baseline="scratch").set_index("case").loc["case_001"]
    ours, theirs = (
        cases[(cases["arm"] == arm) & (cases["case"] == "case_001")]["p(well)"].item()
        for arm in ("models-genesis", "scratch")
    )
    assert row["difference"] == pytest.approx(ours - theirs)


def test_labels_are_saved_on_the_curve_of_areas() -> None:
    # A doubling of labels lifts by 0.25; a lift of 0.5 is worth two doublings.
    cases = planted_probabilities(lift=0.5, labels=(4, 8, 16, 32), seeds=(0, 1), cases=200)
    first, *_, last = labels_saved(cases, baseline="scratch", measure=AUROC)
    assert first.needed.low < 16 < first.needed.high
    assert first.needed.value == pytest.approx(16, rel=0.3)
    assert np.isinf(last.needed.value)


def test_the_sentence_and_the_cautions_are_of_areas() -> None:
    cases = planted_probabilities(lift=1.5, labels=(4, 8))
    (found,) = verdicts(cases, baseline="scratch", measure=AUROC)
    assert found.answer == "helps"
    assert "AUROC above scratch" in found.sentence
    poor = planted_probabilities(lift=-3.0, labels=(4,), cases=12)
    notes = " ".join(cautions(poor, baseline="scratch", measure=AUROC))
    assert "models-genesis ranks test cases no better than chance" in notes
    assert "scratch ranks" not in notes
    assert "Only 6 of 12 test cases are of the class" in notes
    assert "Dice" not in notes


def test_a_mean_curve_encloses_the_mean_area() -> None:
    cases = planted_probabilities(lift=0.0, labels=(4,), arms=("scratch",), cases=60)
    area = np.trapezoid(mean_curve(cases), dx=1 / 200)
    assert area == pytest.approx(AUROC.sample(cases, "scratch", (4,)).mean, abs=0.005)
    perfect = cases.assign(**{"p(well)": (cases["class"] == "well").astype(float)})
    perfect["p(ill)"] = 1 - perfect["p(well)"]
    assert mean_curve(perfect)[1:] == pytest.approx(1)
