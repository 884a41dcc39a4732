from __future__ import annotations

import base64

import numpy as np
import pandas as pd
import pytest
from planted import planted_scores

from selfscan.evaluation.figures import (
    GRAY,
    arm_colors,
    encode,
    fine_tuning_curves,
    paired_cases,
    pretraining_curves,
    score_by_labels,
)
from selfscan.evaluation.statistics import summarize


def curves(steps: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "arm": "scratch",
            "labels": 4,
            "seed": 0,
            "step": np.arange(1, steps + 1),
            "quantity": "validation Dice",
            "value": np.linspace(0, 1, steps),
        }
    )


def test_from_scratch_is_gray_and_other_arms_differ() -> None:
    colors = arm_colors(["one", "scratch", "two"])
    assert colors["scratch"] == GRAY
    assert len(set(colors.values())) == 3


def test_score_by_labels_shows_means_and_differences() -> None:
    cases = planted_scores(lift=0.02, cases=5)
    canvas = score_by_labels(cases, summarize(cases, baseline="scratch"), baseline="scratch")
    means, differences = canvas.axes
    assert [tick.get_text() for tick in means.get_xticklabels()] == ["4", "8", "12"]
    assert [text.get_text() for text in means.get_legend().get_texts()] == [
        "scratch",
        "models-genesis",
    ]
    assert differences.get_ylabel() == "difference in Dice to scratch"


def test_without_a_baseline_there_is_one_panel() -> None:
    cases = planted_scores(lift=0.0, arms=("one",), cases=5)
    assert len(score_by_labels(cases, summarize(cases, baseline=None), baseline=None).axes) == 1


def test_paired_cases_places_each_case() -> None:
    cases = planted_scores(lift=0.02, cases=5, labels=(4, 8))
    canvas = paired_cases(cases, baseline="scratch")
    assert len(canvas.axes) == 2
    (dots,) = canvas.axes[0].collections
    scratch = cases[(cases["labels"] == 4) & (cases["arm"] == "scratch")]
    means = scratch.groupby("case")["dice"].mean().to_numpy()
    assert np.asarray(dots.get_offsets())[:, 0] == pytest.approx(means)


def test_a_quantity_measured_once_makes_no_curve() -> None:
    assert fine_tuning_curves(curves(1)) is None
    assert pretraining_curves({"one": curves(1)}) is None
    assert pretraining_curves({}) is None


def test_curves_are_drawn_in_a_panel_each() -> None:
    drawn = fine_tuning_curves(curves(5))
    assert drawn is not None
    assert drawn.axes[0].get_ylabel() == "validation Dice"
    pretrained = pretraining_curves({"one": curves(100)})
    assert pretrained is not None
    assert len(pretrained.axes) == 1


def test_a_figure_becomes_a_png_inside_an_address() -> None:
    drawn = fine_tuning_curves(curves(5))
    assert drawn is not None
    head, data = encode(drawn, dots_per_inch=50).split(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data).startswith(b"\x89PNG")
