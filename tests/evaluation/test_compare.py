from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.metrics import roc_auc_score
from small_store import write_run, write_small_store

from selfscan.errors import SelfscanError
from selfscan.evaluation import cells
from selfscan.evaluation.classify_recipe import ClassifyRecipe
from selfscan.evaluation.compare import compare
from selfscan.metrics import case_metrics
from selfscan.scans.seen import Seen
from selfscan.scans.store import Store
from selfscan.training.engine import EngineConfig
from selfscan.training.finetune import FinetuneRecipe, finetune
from selfscan.training.probe import ProbeRecipe
from selfscan.training.segmentation import load_segmenter, segment_volume

ENGINE = EngineConfig(accelerator="cpu", precision="32-true", threads=1)
RECIPE = FinetuneRecipe(steps=3, batch_size=1, validate_every=1, overlap=0.0)
ARGUMENTS: dict[str, Any] = {
    "labels": [2, 4],
    "seeds": [0, 1],
    "recipe": RECIPE,
    "learning_rates": [1e-3, 1e-2],
    "engine": ENGINE,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_small_store(folder / "store", tissue=True)
    write_run(folder / "genesis")
    return folder


@pytest.fixture(scope="module")
def compared(data: Path) -> Path:
    report = compare(
        data / "store",
        data / "comparison",
        checkpoints=[data / "genesis"],
        **ARGUMENTS,
    )
    assert report == data / "comparison" / "report.html"
    return report.parent


@pytest.mark.slow
def test_each_arm_is_scored_on_each_case_at_each_seed(compared: Path) -> None:
    cases = pd.read_parquet(compared / "cases.parquet")
    assert len(cases) == 2 * 2 * 2 * 4
    assert set(cases["arm"]) == {"scratch", "genesis"}
    assert set(cases["case"]) == {"scan-6", "scan-7", "scan-8", "scan-9"}
    assert not cases.duplicated(["arm", "labels", "seed", "case", "class"]).any()
    summary = pd.read_csv(compared / "summary.csv")
    assert summary["difference"].notna().sum() == 2


@pytest.mark.slow
def test_scores_are_those_of_the_saved_model(compared: Path, data: Path) -> None:
    folder = next(compared.glob("cells/genesis/labels-4/seed-1/*"))
    segmenter, checkpoint = load_segmenter(folder)
    store = Store(data / "store")
    i = store.find("scan-7")
    probabilities = segment_volume(
        segmenter, store.read(i), (True,), crop_size=checkpoint.crop_size, overlap=0.0
    )
    found = case_metrics(
        np.argmax(probabilities, axis=0),
        store.read_labels(i),
        classes=store.label_names,
        spacing=(2.0, 2.0, 2.0),
    )
    cases = pd.read_parquet(folder / "cases.parquet").set_index("case")
    assert cases.loc["scan-7", "dice"] == pytest.approx(np.nanmean([row.dice for row in found]))


@pytest.mark.slow
def test_the_learning_rate_of_an_arm_is_its_best_in_validation(compared: Path) -> None:
    outcome = json.loads((compared / "outcome.json").read_text())
    assert len(outcome["trials"]) == 4
    for arm in outcome["arms"]:
        tried = [t for t in outcome["trials"] if t["arm"] == arm["name"]]
        best = max(tried, key=lambda trial: trial["dice"])
        assert arm["learning_rate"] == best["learning_rate"]
    assert "chosen for each arm" in (compared / "report.html").read_text()


@pytest.mark.slow
def test_arms_differ_in_the_first_weights_alone(compared: Path) -> None:
    pages = [
        (next(compared.glob(f"cells/{arm}/labels-2/seed-0/*")) / "config.yaml").read_text()
        for arm in ("scratch", "genesis")
    ]
    different = [
        ours.strip().partition(":")[0]
        for ours, theirs in zip(*(page.splitlines() for page in pages), strict=False)
        if ours != theirs
    ]
    assert "cases" not in different
    assert {"checkpoint", "out"} <= set(different)


@pytest.mark.slow
def test_what_the_report_needs_is_kept_with_it(compared: Path) -> None:
    assert {path.stem for path in (compared / "pictures").iterdir()} == {"best", "median", "worst"}
    for name in ("examples.npz", "embeddings.npz"):
        assert (compared / "arms" / "genesis" / name).exists()
    assert not (compared / "arms" / "scratch").exists()
    assert not list(compared.glob("cells/**/state.ckpt"))
    page = (compared / "report.html").read_text()
    for text in ("mind the patent", "123 steps on 7 scans", "ball", "genesis, not fine-tuned"):
        assert text in page


@pytest.mark.slow
def test_what_is_done_is_not_computed_again(
    compared: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = pd.read_parquet(compared / "cases.parquet")
    lost = next(compared.glob("cells/scratch/labels-2/seed-1/*/cases.parquet"))
    lost.unlink()
    (lost.parent / "tuned.json").unlink()
    # One that an earlier version fine-tuned and did not come to score: it kept no time.
    older = next(compared.glob("cells/genesis/labels-2/seed-1/*/cases.parquet"))
    older.unlink()
    said = json.loads(older.with_name("tuned.json").read_text())
    older.with_name("tuned.json").write_text(json.dumps({"dice": said["dice"]}))
    tuned: list[Path] = []

    def note(store: Path, out: Path, **options: Any) -> Path:
        tuned.append(out)
        return finetune(store, out, **options)

    monkeypatch.setattr(cells, "finetune", note)
    again = ARGUMENTS | {"checkpoints": [data / "genesis"]}
    with pytest.raises(SelfscanError, match="not empty"):
        compare(data / "store", compared, **again)
    compare(data / "store", compared, resume=True, **again)
    assert tuned == [lost.parent]
    pd.testing.assert_frame_equal(before, pd.read_parquet(compared / "cases.parquet"))


@pytest.mark.slow
def test_worker_processes_give_the_same_scores(data: Path, tmp_path: Path) -> None:
    found = []
    for workers in (1, 2):
        out = tmp_path / str(workers)
        compare(
            data / "store",
            out,
            labels=[2],
            checkpoints=[data / "genesis"],
            seeds=[3],
            recipe=RECIPE,
            engine=ENGINE,
            workers=workers,
        )
        found.append(pd.read_parquet(out / "cases.parquet"))
    pd.testing.assert_frame_equal(*found)


@pytest.mark.slow
def test_frozen_features_and_longer_training_are_compared_too(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    page = compare(
        data / "store",
        out,
        labels=[2],
        checkpoints=[write_run(tmp_path / "genesis", steps=2)],
        seeds=[0],
        protocols=["finetune", "linear"],
        recipe=RECIPE,
        probing=ProbeRecipe(
            voxels_per_class=50, background_voxels=100, steps=5, overlap=0.0, penalty=1000.0
        ),
        long=True,
        engine=ENGINE,
    ).read_text()
    cases = pd.read_parquet(out / "cases.parquet")
    arms = {name: list(rows["arm"].unique()) for name, rows in cases.groupby("protocol")}
    assert arms == {
        "finetune": ["scratch", "genesis", "scratch-long"],
        "linear": ["random", "genesis"],
    }
    # 2 steps of 6 crops of 16 voxels a side were pre-trained; 3 steps of 1 such crop fine-tune.
    longer = yaml.safe_load(next(out.glob("cells/scratch-long/**/config.yaml")).read_text())
    assert longer["recipe"]["steps"] == 3 + 2 * 6
    frozen = json.loads(next(out.glob("probes/linear/random/**/probe.json")).read_text())
    assert (frozen["head"], len(frozen["cases"])) == ("linear", 2)
    for text in (
        "Linear probe of frozen features",
        "12 steps more",
        "as long as pre-training",
        "Finding organs in other patients",
        "Time of a run",
    ):
        assert text in page
    errors = pd.read_parquet(out / "arms" / "genesis" / "organs.parquet")
    assert set(errors["embedding"]) == {"genesis"}
    floors = pd.read_parquet(out / "arms" / "organs.parquet")
    assert set(floors["embedding"]) == {"random", "intensity patch", "relative place"}
    assert len(errors) == len(floors) / 3 == 4 * 3  # four test patients, one organ


@pytest.mark.slow
def test_a_plan_is_measured_and_nothing_is_written(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ARGUMENTS | {"checkpoints": [data / "genesis"], "budget": "9h"}
    assert compare(data / "store", tmp_path / "out", plan=True, **options) == tmp_path / "out"
    assert not (tmp_path / "out").exists()
    shown = capsys.readouterr().err
    for text in ("learning rates", "finetune", "s a step", "of disk"):
        assert text in shown
    with pytest.raises(SelfscanError, match="budget of"):
        compare(data / "store", tmp_path / "out", plan=True, **options | {"budget": "0.001s"})


@pytest.mark.slow
def test_a_leaked_case_stops_it_before_any_training(data: Path, tmp_path: Path) -> None:
    run = shutil.copytree(data / "genesis", tmp_path / "leaky")
    Seen.of(Store(data / "store").select(ids=["scan-1", "scan-8"])).write(run)
    options = ARGUMENTS | {"checkpoints": [run], "labels": [2], "seeds": [0], "learning_rates": []}
    out = tmp_path / "out"
    with pytest.raises(SelfscanError, match=r"leaky: scan-8 \(the same voxels\)"):
        compare(data / "store", out, **options)
    assert not list(out.iterdir())
    page = compare(data / "store", out, allow_leaks=True, **options).read_text()
    assert "Tainted: pre-training saw test cases" in page
    assert "saw 1 of the test cases or their patients (scan-8)" in page


def test_workers_out_of_range(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="workers must be at least 1"):
        compare(tmp_path, tmp_path / "out", labels=[1], workers=0)


@pytest.mark.slow
def test_classifiers_are_compared_by_auroc(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, out = tmp_path / "classes.csv", tmp_path / "out"
    rows = [f"scan-{i},{'odd' if i % 2 else 'even'}" for i in range(10)]
    table.write_text("\n".join(["case,label", *rows]) + "\n")
    options: dict[str, Any] = {
        "classes": table,
        "checkpoints": [data / "genesis"],
        "protocols": ["finetune", "linear", "nonlinear", "knn"],
        "recipe": RECIPE,
        "classifying": ClassifyRecipe(voxels=50, overlap=0.0),
        "engine": ENGINE,
        "labels": [2, 4],
    }
    compare(data / "store", out, seeds=[0], **options)
    cases = pd.read_parquet(out / "cases.parquet")
    assert len(cases) == 4 * 2 * 2 * 4  # protocols, arms, numbers of labels, test cases
    assert cases[["p(even)", "p(odd)"]].sum(axis=1).to_numpy() == pytest.approx(1)
    run = cases[(cases["protocol"] == "knn") & (cases["arm"] == "genesis") & (cases["labels"] == 4)]
    summary = pd.read_csv(out / "summary.csv").set_index(["protocol", "arm", "labels"])
    area = roc_auc_score(run["class"] == "odd", run["p(odd)"])
    assert summary.loc[("knn", "genesis", 4), "auroc"] == pytest.approx(area)
    assert summary["balanced_accuracy"].between(0, 1).all()
    outcome = json.loads((out / "outcome.json").read_text())
    # One validation scan has one class, so that no learning rate can be chosen.
    assert outcome["trials"] == []
    assert outcome["label_names"] == {"0": "even", "1": "odd"}
    shown = capsys.readouterr().err
    assert "AUROC" in shown
    assert "Dice" not in shown
    page = (out / "report.html").read_text()
    for text in ("AUROC", "Balanced accuracy", "Nearest neighbors by frozen features", "even, odd"):
        assert text in page
    assert "Dice" not in re.sub(r'base64,[^"]*', "", page)
    # Embeddings are kept, and another seed adds to what is there.
    kept = out / "probes" / "embeddings" / "genesis" / "seed-0.npz"
    written = kept.stat().st_mtime_ns
    compare(data / "store", out, seeds=[0, 1], resume=True, **options)
    assert len(pd.read_parquet(out / "cases.parquet")) == 2 * len(cases)
    assert kept.stat().st_mtime_ns == written
    # Another table under the same name is another comparison.
    table.write_text(table.read_text().replace("scan-0,even", "scan-0,odd"))
    with pytest.raises(SelfscanError, match="another classes_digest"):
        compare(data / "store", out, seeds=[0, 1], resume=True, **options)


def test_nearest_neighbors_are_of_classification(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="knn only where classes are given"):
        compare(data / "store", tmp_path / "out", labels=[2], protocols=["knn"])


def test_a_test_split_of_one_class_has_no_area(data: Path, tmp_path: Path) -> None:
    table = tmp_path / "classes.csv"
    rows = [f"scan-{i},{'odd' if i % 2 and i < 6 else 'even'}" for i in range(10)]
    table.write_text("\n".join(["case,label", *rows]) + "\n")
    with pytest.raises(SelfscanError, match=r"in the split 'test' of odd; .* AUROC is not defined"):
        compare(
            data / "store",
            tmp_path / "out",
            labels=[2],
            classes=table,
            checkpoints=[data / "genesis"],
        )
    assert not (tmp_path / "out").exists()
