"""The verb on a small store: an untrained network adds nothing, and all of it is written down."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from gvsl_run import RANDOM, write_run
from labelled_store import write_store
from small_store import write_run as write_genesis_run
from small_store import write_small_store

from selfscan.errors import ContractError, SelfscanError
from selfscan.evaluation.align import align
from selfscan.scans.contract import PreprocessingContract
from selfscan.training.engine import EngineConfig

ENGINE = EngineConfig(accelerator="cpu", precision="32-true", threads=1)
ARGUMENTS: dict[str, Any] = {"engine": ENGINE, "pairs": 3}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_small_store(folder / "store")
    write_run(folder / "run")
    return folder


@pytest.fixture(scope="module")
def rows(data: Path) -> pd.DataFrame:
    return align(data / "store", data / "out", checkpoint=data / "run", **ARGUMENTS)


@pytest.mark.slow
def test_an_untrained_network_adds_nothing(rows: pd.DataFrame) -> None:
    assert len(rows) == 3 * 3
    assert (rows["moving_subject"] != rows["fixed_subject"]).all()
    by_arm = {arm: own.reset_index() for arm, own in rows.groupby("arm", sort=False)}
    assert list(by_arm) == ["identity", "affine only", "warp"]
    assert (rows["dice"] > 0).all()
    for name in ("dice", "correlation", "folding"):
        for arm in ("affine only", "warp"):
            np.testing.assert_allclose(by_arm[arm][name], by_arm["identity"][name], atol=1e-6)


@pytest.mark.slow
def test_everything_is_left_in_the_folder(rows: pd.DataFrame, data: Path) -> None:
    out = data / "out"
    pd.testing.assert_frame_equal(pd.read_parquet(out / "alignment.parquet"), rows)
    facts = json.loads((out / "alignment.json").read_text())
    assert facts["crops"] == {
        "size": [32, 16, 16], "place": "center", "within": "scan", "distinct": True,
    }  # fmt: skip
    assert facts["steps"] == 11
    assert [tuple(pair) for pair in facts["pairs"]] == list(
        rows[["moving", "fixed"]].drop_duplicates().itertuples(index=False, name=None)
    )
    assert {path.name for path in (out / "pictures").iterdir()} == {
        "best.png", "median.png", "worst.png",
    }  # fmt: skip
    page = (out / "alignment.html").read_text()
    assert "Not clearly more overlap than laid on each other." in page
    assert page.count("data:image/png") == 3
    assert {"config.yaml", "summary.csv", "alignment.csv"} <= {p.name for p in out.iterdir()}


@pytest.mark.slow
def test_a_finished_result_is_kept(rows: pd.DataFrame, data: Path) -> None:
    arguments = ARGUMENTS | {"checkpoint": data / "run"}
    with pytest.raises(SelfscanError, match="not empty"):
        align(data / "store", data / "out", **arguments)
    again = align(data / "store", data / "out", **arguments, resume=True)
    pd.testing.assert_frame_equal(again, rows)
    with pytest.raises(SelfscanError, match="seed 7 where it was 0"):
        align(data / "store", data / "out", **arguments, resume=True, seed=7)


@pytest.mark.slow
def test_a_random_warp_and_a_single_pair(data: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", RANDOM)
    found = align(data / "store", tmp_path / "out", checkpoint=run, engine=ENGINE, pairs=1)
    assert found["dice"].nunique() == 3
    assert found["correlation"].nunique() == 3
    assert [path.name for path in (tmp_path / "out" / "pictures").iterdir()] == ["best.png"]
    bare = align(
        data / "store", tmp_path / "bare", checkpoint=run, engine=ENGINE, pairs=1, pictures=False
    )
    pd.testing.assert_frame_equal(bare, found)
    assert not (tmp_path / "bare" / "pictures").exists()


def test_what_cannot_be_aligned_is_refused(data: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = {"out": tmp_path / "out", "checkpoint": data / "run"}
    with pytest.raises(ValueError, match="pairs must be at least 1, got 0"):
        align(data / "store", **given, pairs=0)
    with pytest.raises(SelfscanError, match="scans of one patient only"):
        align(data / "store", **given, split="validation")
    unlabelled = write_store(tmp_path / "unlabelled", labelled=False)
    with pytest.raises(SelfscanError, match="found no scan with splits"):
        align(unlabelled, **given)
    with pytest.raises(ContractError, match="found a network for 1 channels; expected 2"):
        align(write_store(tmp_path / "two", channels=2), **given)
    genesis = write_genesis_run(tmp_path / "genesis")
    with pytest.raises(SelfscanError, match="with models-genesis; expected one of pretraining"):
        align(data / "store", **given | {"checkpoint": genesis})
    other = replace(PreprocessingContract(), spacing=(1.0, 1.0, 1.0))
    run = write_run(tmp_path / "run", contract=other)
    with pytest.raises(ContractError, match="found another preprocessing: spacing"):
        align(data / "store", **given | {"checkpoint": run})
    assert not (tmp_path / "out").exists()


def test_scans_without_a_common_label_are_refused(data: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("selfscan.evaluation.align.score_pair", lambda *_: [])
    with pytest.raises(SelfscanError, match="no label that both scans of a pair have, in 2 pairs"):
        align(data / "store", tmp_path / "out", checkpoint=data / "run", engine=ENGINE, pairs=2)
