from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from selfscan.evaluation.retrieval_scores import print_errors, save_errors, summarize_errors


def some_errors() -> pd.DataFrame:
    values = {"ours": (4.0, 5.0, 12.0, 60.0), "floor": (30.0, 30.0, 30.0, 30.0)}
    rows = [
        {"kind": "warp", "embedding": name, "scan": "a", "target": "a", "structure": ""}
        | {"error_mm": error}
        for name, errors in values.items()
        for error in errors
    ]
    return pd.DataFrame(rows)


def test_the_summary_counts_what_lies_within(tmp_path: Path) -> None:
    ours, floor = summarize_errors(some_errors()).to_dict("records")
    assert (ours["kind"], ours["embedding"], ours["queries"]) == ("warp", "ours", 4)
    assert (ours["median_mm"], ours["mean_mm"]) == pytest.approx((8.5, 20.25))
    shares = [ours[f"within_{mm}_mm"] for mm in (5, 10, 20)]
    assert shares == pytest.approx([0.5, 0.5, 0.75])
    assert floor["within_20_mm"] == 0
    save_errors(some_errors(), tmp_path)
    assert pd.read_csv(tmp_path / "summary.csv")["median_mm"].tolist() == [8.5, 30.0]
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "retrieval.parquet"), some_errors())


def test_the_table_fits_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_errors(some_errors())
    shown = capsys.readouterr().err
    assert "warp (4)" in shown
    assert "75.0%" in shown
    assert all(len(line) <= 80 for line in shown.splitlines())
