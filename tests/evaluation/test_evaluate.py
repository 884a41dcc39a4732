"""Scoring label maps on disk."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from selfscan.errors import SelfscanError
from selfscan.evaluation.evaluate import evaluate

AFFINE = np.diag([1.0, 1.0, 3.0, 1.0])


def cube(start: int, label: int = 1) -> npt.NDArray[np.uint8]:
    labels = np.zeros((16, 16, 16), np.uint8)
    labels[start : start + 4, 4:10, 4:10] = label
    return labels


def write(path: Path, labels: npt.NDArray[np.uint8], affine=AFFINE) -> Path:
    path.parent.mkdir(exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(labels, affine), path)
    return path


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    found, truth = tmp_path / "found", tmp_path / "truth"
    write(found / "a.nii.gz", cube(4))
    write(truth / "a.nii.gz", cube(6))
    write(found / "b.nii.gz", cube(4, label=2))
    write(truth / "b.nii", cube(4, label=2))
    return found, truth


def test_cases_and_classes(folders, tmp_path: Path) -> None:
    cases = evaluate(*folders, tmp_path / "out", label_names={1: "liver", 2: "spleen"})
    assert cases["case"].tolist() == ["a", "a", "b", "b"]
    assert cases["class"].tolist() == ["liver", "spleen"] * 2
    np.testing.assert_allclose(cases["dice"], [0.5, np.nan, np.nan, 1.0])
    assert cases["empty"].tolist() == ["neither", "both", "both", "neither"]
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out" / "cases.parquet"), cases)
    summary = pd.read_csv(tmp_path / "out" / "summary.csv")
    assert summary["dice"].tolist() == [0.5, 1.0]


def test_distances_follow_the_spacing(tmp_path: Path) -> None:
    found = write(tmp_path / "found.nii.gz", cube(4).transpose(2, 1, 0))
    truth = write(tmp_path / "truth.nii.gz", cube(5).transpose(2, 1, 0))
    (row,) = evaluate(found, truth, label_names={1: "x"}).to_dict("records")
    assert row["hd95"] == pytest.approx(3.0)
    assert row["case"] == "found"


def test_names_from_beside_the_labels(folders) -> None:
    (folders[0] / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "liver": 1}}))
    assert evaluate(*folders)["class"].unique().tolist() == ["liver"]


def test_without_names_every_value_counts(folders) -> None:
    cases = evaluate(*folders)
    assert cases["class"].tolist() == ["label 1", "label 2"]


def test_a_grid_that_differs_is_left_out(folders, tmp_path: Path) -> None:
    moved = AFFINE.copy()
    moved[0, 3] = 5
    write(folders[0] / "a.nii.gz", cube(4), moved)
    cases = evaluate(*folders, tmp_path / "out", label_names={2: "spleen"})
    assert cases["case"].tolist() == ["b"]


def test_no_pair_is_an_error(folders, tmp_path: Path) -> None:
    write(tmp_path / "other" / "c.nii.gz", cube(4))
    with pytest.raises(SelfscanError, match="found 2 label maps, none with a name among the 1"):
        evaluate(folders[0], tmp_path / "other")
    with pytest.raises(SelfscanError, match="found nothing; expected label maps"):
        evaluate(folders[0], tmp_path / "missing")
    write(tmp_path / "other" / "a.nii.gz", cube(4)[:-1])
    with pytest.raises(SelfscanError, match="no case could be scored"):
        evaluate(folders[0], tmp_path / "other")


def test_nothing_is_overwritten_unasked(folders, tmp_path: Path) -> None:
    evaluate(*folders, tmp_path / "out")
    with pytest.raises(SelfscanError, match="not empty"):
        evaluate(*folders, tmp_path / "out")
    evaluate(*folders, tmp_path / "out", overwrite=True)


def test_tolerance_out_of_range(folders) -> None:
    with pytest.raises(ValueError, match="tolerance_mm must not be negative, got -1"):
        evaluate(*folders, tolerance_mm=-1)
