from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from planted_alignment import planted_rows
from scipy.stats import t as students_t

from selfscan.evaluation.alignment_scores import (
    estimate,
    print_alignment,
    save_alignment,
    structure_scores,
    summarize_alignment,
)


def pairs_of(*letters: str) -> np.ndarray:
    return np.array([list(pair) for pair in letters])


def test_pairs_without_a_common_patient_give_students_interval() -> None:
    values = np.array([0.1, 0.4, 0.2, 0.5])
    found = estimate(values, pairs_of("ab", "cd", "ef", "gh"))
    reach = students_t.ppf(0.975, 3) * values.std(ddof=1) / 2
    assert found.value == pytest.approx(0.3)
    assert (found.low, found.high) == pytest.approx((0.3 - reach, 0.3 + reach))


def test_pairs_that_share_a_patient_count_together() -> None:
    values = np.array([0.5, 0.5, 0.1, 0.1])
    # Deviations 0.2, 0.2, -0.2, -0.2: own squares 0.16, and twice a product 0.04 for each sharing.
    variance = 0.16 + 2 * 0.04 + 2 * 0.04
    found = estimate(values, pairs_of("ab", "bc", "de", "fd"))
    reach = students_t.ppf(0.975, 2) * math.sqrt(variance / 12)
    assert (found.low, found.high) == pytest.approx((0.3 - reach, 0.3 + reach))
    # Products of opposite sign would shrink it below that of unrelated pairs.
    least = estimate(values, pairs_of("ab", "cd", "eb", "fd"))
    assert least.high - 0.3 == pytest.approx(students_t.ppf(0.975, 2) * math.sqrt(0.16 / 12))


def test_with_too_few_patients_there_is_no_interval() -> None:
    found = estimate(np.array([0.1, 0.2]), pairs_of("ab", "ac"))
    assert found.value == pytest.approx(0.15)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    """Twenty pairs of twelve patients, who own half of the variance."""
    random = np.random.default_rng(0)
    held = 0
    for _ in range(300):
        order = np.concatenate([random.permutation(12) for _ in range(4)])[:40].reshape(20, 2)
        values = random.normal(0, 0.5, 12)[order].sum(axis=1) + random.normal(0, 0.7, 20)
        found = estimate(values, order)
        held += found.low <= 0 <= found.high
    assert 0.90 < held / 300 < 0.99


def test_means_are_over_labels_then_pairs_and_gains_are_the_warps() -> None:
    rows = planted_rows()
    identity, affine, warp = summarize_alignment(rows).to_dict("records")
    assert [row["arm"] for row in (identity, affine, warp)] == ["identity", "affine only", "warp"]
    assert (warp["pairs"], warp["patients"]) == (6, 11)
    mean = rows[rows["arm"] == "warp"].groupby("fixed")["dice"].mean().mean()
    assert warp["dice"] == pytest.approx(mean)
    assert identity["dice_gain"] == pytest.approx(warp["dice"] - identity["dice"])
    assert 0 < affine["dice_gain_low"] < affine["dice_gain"] < affine["dice_gain_high"] < 0.15
    assert identity["correlation_gain"] == pytest.approx(0.1, abs=0.02)
    assert math.isnan(warp["dice_gain"])
    first, second = structure_scores(rows)
    assert (first["name"], first["pairs"], second["name"]) == ("hippocampus_anterior", 6, "<tail>")
    assert first["warp"] - second["warp"] == pytest.approx(0.2)


def test_a_pair_without_one_of_the_labels_counts_like_the_others() -> None:
    rows = planted_rows()
    fewer = rows[(rows["fixed"] != "scan-f3") | (rows["label"] == 1)]
    assert [row["pairs"] for row in structure_scores(fewer)] == [6, 5]
    difference = summarize_alignment(fewer)["dice"] - summarize_alignment(rows)["dice"]
    np.testing.assert_allclose(difference, 0.1 / 6)


def test_what_is_saved(tmp_path: Path) -> None:
    rows = planted_rows()
    save_alignment(rows, tmp_path)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "alignment.parquet"), rows)
    assert len(pd.read_csv(tmp_path / "alignment.csv")) == len(rows) == 6 * 3 * 2
    assert pd.read_csv(tmp_path / "summary.csv")["arm"].tolist() == [
        "identity",
        "affine only",
        "warp",
    ]


def test_the_table_fits_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    rows = planted_rows()
    rows["structure"] = rows["structure"].replace("<tail>", "a_structure_with_a_very_long_name")
    print_alignment(rows)
    shown = capsys.readouterr().err
    assert "6 pairs of 11 patients" in shown
    assert "0.10%" in shown
    assert "+0.19" in shown or "+0.20" in shown
    assert all(len(line) <= 80 for line in shown.splitlines())
