"""The verb on a small store: floors beside the checkpoint, and truths that can be foretold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from labelled_store import write_store
from small_store import write_run, write_small_store

from selfscan.errors import SelfscanError
from selfscan.evaluation.retrieve import RetrievalRecipe, retrieve
from selfscan.training.engine import EngineConfig

ENGINE = EngineConfig(accelerator="cpu", precision="32-true", threads=1)
RECIPE = RetrievalRecipe(points=30, amplitude_mm=5.0, scale_mm=16.0, patch_size=5)
ARGUMENTS: dict[str, Any] = {"recipe": RECIPE, "engine": ENGINE, "cases": 3}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_small_store(folder / "store")
    write_run(folder / "run")
    return folder


@pytest.fixture(scope="module")
def errors(data: Path) -> pd.DataFrame:
    return retrieve(data / "store", data / "out", checkpoint=data / "run", **ARGUMENTS)


@pytest.mark.slow
def test_every_query_is_answered_by_the_checkpoint_and_each_floor(errors: pd.DataFrame) -> None:
    counts = errors.groupby(["kind", "embedding"], sort=False).size()
    assert list(counts["warp"].index) == [
        "checkpoint", "random network", "intensity patch", "relative place",
    ]  # fmt: skip
    assert set(counts["warp"]) == {3 * 30}
    assert set(counts["organs"]) == {3 * 2}
    organs = errors[errors["kind"] == "organs"]
    assert (organs["scan"] != organs["target"]).all()
    assert set(organs["structure"]) == {"ball"}
    warped = errors[errors["kind"] == "warp"]
    assert (warped["scan"] == warped["target"]).all()
    by_network = [
        errors.loc[errors["embedding"] == n, "error_mm"] for n in counts["warp"].index[:2]
    ]
    assert by_network[0].tolist() != by_network[1].tolist()


@pytest.mark.slow
def test_everything_is_left_in_the_folder(errors: pd.DataFrame, data: Path) -> None:
    out = data / "out"
    pd.testing.assert_frame_equal(pd.read_parquet(out / "retrieval.parquet"), errors)
    facts = json.loads((out / "retrieval.json").read_text())
    assert facts["method"] == "models-genesis"
    assert facts["features"] == 4 + 8 + 16 + 32
    assert len(facts["cases"]) == 3
    assert {path.name for path in (out / "pictures").iterdir()} == {
        f"embeddings-{name}.{suffix}"
        for name in ("checkpoint", "random-network")
        for suffix in ("npz", "png")
    }
    assert "In other patients" in (out / "retrieval.html").read_text()
    assert {"config.yaml", "summary.csv"} <= {path.name for path in out.iterdir()}


@pytest.mark.slow
def test_a_finished_result_is_kept(errors: pd.DataFrame, data: Path) -> None:
    arguments = ARGUMENTS | {"checkpoint": data / "run"}
    with pytest.raises(SelfscanError, match="not empty"):
        retrieve(data / "store", data / "out", **arguments)
    again = retrieve(data / "store", data / "out", **arguments, resume=True)
    pd.testing.assert_frame_equal(again, errors)
    with pytest.raises(SelfscanError, match="seed 7 where it was 0"):
        retrieve(data / "store", data / "out", **arguments, resume=True, seed=7)


@pytest.mark.slow
def test_without_a_warp_every_voxel_finds_itself(data: Path, tmp_path: Path) -> None:
    found = retrieve(
        data / "store",
        tmp_path / "out",
        checkpoint=data / "run",
        cases=["scan-1"],
        pictures=0,
        recipe=RetrievalRecipe(points=30, amplitude_mm=0.0, patch_size=5),
        engine=ENGINE,
    )
    assert set(found["kind"]) == {"warp"}
    # A narrow network may tell two neighbors apart by less than float32 can show.
    assert found["error_mm"].max() <= 2.0
    assert (found["error_mm"] == 0).mean() > 0.95
    assert not (tmp_path / "out" / "pictures").exists()


@pytest.mark.slow
def test_a_store_without_labels_has_warps_alone(data: Path, tmp_path: Path) -> None:
    store = write_store(tmp_path / "store", labelled=False)
    found = retrieve(
        store, tmp_path / "out", checkpoint=data / "run", pictures=1, recipe=RECIPE, engine=ENGINE
    )
    assert set(found["kind"]) == {"warp"}
    assert set(found["target"]) == {"scan-4", "scan-5"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"points": 0}, "points must be at least 1, got 0"),
        ({"amplitude_mm": 50.0}, r"amplitude_mm must lie in \[0, 0.4 scale_mm\] = \[0, 32\]"),
        ({"overlap": 1.0}, r"overlap must lie in \[0, 1\), got 1.0"),
        ({"patch_size": 4}, "patch_size must be odd and positive, got 4"),
    ],
)
def test_bad_recipes(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RetrievalRecipe(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cases": 0}, "cases must be at least 1, or ids, got 0"),
        ({"pictures": -1}, "pictures must not be negative, got -1"),
    ],
)
def test_bad_arguments(data: Path, tmp_path: Path, arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        retrieve(data / "store", tmp_path / "out", checkpoint=data / "run", **arguments)
    assert not (tmp_path / "out").exists()
