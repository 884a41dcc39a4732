"""Tables of scores."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from selfscan.metrics import ClassMetrics
from selfscan.progress import details
from selfscan.training.scores import print_scores, save_scores, score_rows, summarize_scores

NAN = math.nan


@pytest.fixture
def cases() -> pd.DataFrame:
    rows = score_rows(
        "a",
        [
            ClassMetrics(1, "liver", 0.8, 0.9, 2.0, "neither"),
            ClassMetrics(2, "spleen", 0.0, 0.0, NAN, "truth"),
        ],
    )
    rows += score_rows(
        "b",
        [
            ClassMetrics(1, "liver", 0.0, 0.0, NAN, "prediction"),
            ClassMetrics(2, "spleen", NAN, NAN, NAN, "both"),
        ],
    )
    return pd.DataFrame(rows)


def test_summary_by_hand(cases: pd.DataFrame) -> None:
    liver, spleen = summarize_scores(cases).to_dict("records")
    assert (liver["cases"], liver["scored"], liver["missed"], liver["invented"]) == (2, 2, 1, 0)
    assert (liver["dice"], liver["nsd"], liver["hd95"]) == (0.4, 0.45, 2.0)
    assert (spleen["cases"], spleen["scored"], spleen["missed"], spleen["invented"]) == (2, 1, 0, 1)
    assert spleen["dice"] == 0.0
    assert math.isnan(spleen["hd95"])


def test_files(cases: pd.DataFrame, tmp_path) -> None:
    save_scores(cases, tmp_path)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "cases.parquet"), cases)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "cases.csv"), cases)
    summary = pd.read_csv(tmp_path / "summary.csv")
    pd.testing.assert_frame_equal(summary, summarize_scores(cases))
    assert list(cases.columns) == ["case", "label", "class", "dice", "nsd", "hd95", "empty"]


def test_printed_table(cases: pd.DataFrame) -> None:
    with details.capture() as captured:
        print_scores(cases, title="test", tolerance_mm=1.5)
    text = captured.get()
    assert "NSD 1.5 mm" in text
    assert "0.4000" in text
    assert "0.2000" in text  # the mean of 0.4 and 0.0
