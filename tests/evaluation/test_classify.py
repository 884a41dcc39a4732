from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from small_store import write_run, write_small_store

from selfscan.errors import SelfscanError
from selfscan.evaluation.classify import ClassifyRecipe, classify
from selfscan.training.engine import EngineConfig

ENGINE = EngineConfig(accelerator="cpu", precision="32-true", threads=1)
RECIPE = ClassifyRecipe(voxels=200, overlap=0.0)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_small_store(folder / "store")
    write_run(folder / "genesis")
    rows = [f"scan-{i},{'odd' if i % 2 else 'even'}" for i in range(10)]
    (folder / "labels.csv").write_text("\n".join(["case,label", *rows]) + "\n")
    return folder


@pytest.mark.slow
def test_each_head_is_scored_on_both_kinds_of_features(data: Path, tmp_path: Path) -> None:
    out, options = tmp_path / "out", {"table": data / "labels.csv", "recipe": RECIPE}
    options |= {"checkpoint": data / "genesis", "engine": ENGINE, "cases": 4}
    found = classify(data / "store", out, **options)
    assert len(found) == 3 * 2 * 2
    assert found["value"].between(0, 1).all()
    assert found["difference"].notna().sum() == 6
    pair = found[(found["head"] == "linear") & (found["metric"] == "AUROC")].set_index("features")
    change = pair.loc["checkpoint", "value"] - pair.loc["random network", "value"]
    assert pair.loc["checkpoint", "difference"] == pytest.approx(change)
    given = pd.read_csv(out / "predictions.csv")
    assert len(given) == 3 * 2 * 4
    assert given[["p(even)", "p(odd)"]].sum(axis=1).to_numpy() == pytest.approx(1)
    with pytest.raises(SelfscanError, match="not empty"):
        classify(data / "store", out, **options)
    again = classify(data / "store", out, resume=True, **options)
    pd.testing.assert_frame_equal(again, found)


@pytest.mark.parametrize("heads", [[], ["deep"], ["knn", "knn"]])
def test_heads_that_are_none(tmp_path: Path, heads: list[str]) -> None:
    with pytest.raises(ValueError, match="linear, nonlinear, knn"):
        classify(tmp_path, tmp_path, table=tmp_path, checkpoint=tmp_path, heads=heads)


@pytest.mark.parametrize(
    "wrong", [{"voxels": 0}, {"neighbors": 0}, {"penalty": 0.0}, {"overlap": 1.0}]
)
def test_recipes_without_a_meaning(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ClassifyRecipe(**wrong)
