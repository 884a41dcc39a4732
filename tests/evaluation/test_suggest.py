from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from small_store import write_run, write_small_store

from selfscan.errors import SelfscanError
from selfscan.evaluation.suggest import suggest
from selfscan.scans.index import write_index
from selfscan.scans.store import Store
from selfscan.training.engine import EngineConfig
from selfscan.training.finetune import FinetuneRecipe, finetune

ENGINE = EngineConfig(accelerator="cpu", precision="32-true", threads=1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose scans 2, 3 and 4 of the training split have no labels."""
    folder = tmp_path_factory.mktemp("data")
    store = Store(write_small_store(folder / "store"))
    records = [
        replace(record, labelled=False) if record.id in ("scan-2", "scan-3", "scan-4") else record
        for record in store
    ]
    write_index(store.path, records, [], store.label_names)
    write_run(folder / "genesis")
    return folder


def test_unlabeled_scans_outside_of_the_test_are_suggested(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "next.csv"
    found = suggest(data / "store", checkpoint=data / "genesis", n=9, out=file, engine=ENGINE)
    assert set(found["id"]) == {"scan-2", "scan-3", "scan-4"}
    assert (found["gain"] > 0).all()
    assert found["disagreement"].isna().all()
    assert list(pd.read_csv(file)["id"]) == list(found["id"])


@pytest.mark.slow
def test_a_model_narrows_the_choice_to_where_it_contradicts_itself(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = finetune(
        data / "store",
        data / "model",
        checkpoint=data / "genesis",
        recipe=FinetuneRecipe(steps=8, batch_size=2),
        engine=ENGINE,
    )
    options = {"checkpoint": data / "genesis", "model": model, "engine": ENGINE}
    every = suggest(data / "store", n=3, **options).set_index("id")["disagreement"]
    assert every.between(0, 1).all()
    found = suggest(data / "store", n=1, pool=1, **options)
    assert list(found["id"]) == [every.idxmax()]
    assert "Label next (2 of 5 scans have labels)" in capsys.readouterr().err


def test_nothing_left_to_label(tmp_path: Path) -> None:
    store = write_small_store(tmp_path / "store")
    with pytest.raises(SelfscanError, match="no unlabeled scan"):
        suggest(store, checkpoint=write_run(tmp_path / "genesis"), engine=ENGINE)


def test_arguments_out_of_range(tmp_path: Path) -> None:
    for wrong in ({"n": 0}, {"pool": 0}):
        with pytest.raises(ValueError, match="must be at least 1"):
            suggest(tmp_path, checkpoint=tmp_path, **wrong)
