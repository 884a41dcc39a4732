"""The report of a comparison of classifiers, out of planted probabilities."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from page_parser import Page
from planted_classes import planted_probabilities, write_classified

from selfscan.evaluation.evidence import gather
from selfscan.evaluation.report import render


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    tuned = planted_probabilities(lift=1.5)
    frozen = planted_probabilities(
        lift=0.0, arms=("random", "models-genesis"), protocol="knn", seed=1
    )
    folder = tmp_path_factory.mktemp("finished") / "verdict"
    return render(gather(write_classified(folder, pd.concat([frozen, tuned]))))


def test_the_verdict_speaks_of_areas(page: str) -> None:
    text = re.sub(r"<[^>]+>", " ", re.sub(r"base64,[^\"]*", "", page))
    assert re.search(r"models-genesis scores 0\.\d\d\d AUROC above scratch", text)
    assert "Pre-training helped." in text
    assert re.search(r"\d+ of 60 patients are ranked better", text)
    assert "No evidence that pre-trained features know more than random ones." in text
    for said in ("Dice", "segmented", "outline", "Structure by structure"):
        assert said not in text


def test_tables_and_figures_are_those_of_classification(page: str) -> None:
    parsed = Page(page)
    assert parsed.open == []
    for text in (
        "Balanced accuracy", "0.50 is chance", "Cases told worst", "Receiver’s curves",
        "Nearest neighbors by frozen features", "Labels saved", "ill, well, of diagnoses.csv",
        "digest fedcba9876543210", "by the AUROC of the validation", "2 scans with 2 crops of",
    ):  # fmt: skip
        assert text in page
    # Two protocols of three figures; examples, embeddings, pre-training and fine-tuning.
    assert len(parsed.images) == 2 * 3 + 4
    assert all(len(str(image["alt"])) > 30 for image in parsed.images)


def test_the_cases_told_worst_come_first(tmp_path: Path) -> None:
    cases = planted_probabilities(lift=0.0, labels=(4,), cases=10)
    wrong = cases["case"] == "case_007"
    cases.loc[wrong, ["p(ill)", "p(well)"]] = [0.999, 0.001]  # an odd case is well
    text = render(gather(write_classified(tmp_path / "out", cases)))
    worst = text[text.index("Cases told worst") :]
    assert worst.index("case_007") < worst.index("case_0", worst.index("case_007") + 5)
    assert worst.index("<td>case_007") == worst.index("<td>case_")
    assert "Only 5 of 10 test cases are of the class" in text


def test_several_classes_are_averaged_and_it_is_said(tmp_path: Path) -> None:
    cases = planted_probabilities(lift=0.5, labels=(6,), cases=30, names=("a", "b", "c"))
    text = render(gather(write_classified(tmp_path / "out", cases)))
    assert "the mean over classes, each against the rest" in text
    assert "0.33 is chance" in text
