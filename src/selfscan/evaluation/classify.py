"""The verb `classify`: what frozen features know of labels of whole scans."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.table import Table

from selfscan.class_metrics import METRICS
from selfscan.evaluation.classification import estimate
from selfscan.evaluation.classify_recipe import ClassifyRecipe
from selfscan.evaluation.provenance import provenance
from selfscan.evaluation.resampling import Estimate
from selfscan.files import written_atomically
from selfscan.progress import console
from selfscan.scans.store import Store
from selfscan.training.case_table import CaseTable
from selfscan.training.engine import EngineConfig
from selfscan.training.frozen import freeze
from selfscan.training.intact import require_intact_on_each_node
from selfscan.training.pooled import pooled_features
from selfscan.training.run_folder import open_run_folder
from selfscan.training.scan_heads import ScanHead, class_probabilities
from selfscan.training.seeds import derive_seed
from selfscan.training.segmentation import inference_fabric
from selfscan.training.start import starting_point

CHECKPOINT, RANDOM = "checkpoint", "random network"
HEADS = get_args(ScanHead)


_RECIPE, _ENGINE = ClassifyRecipe(), EngineConfig()


def classify(
    store: Path | str,
    out: Path | str,
    *,
    table: Path,
    checkpoint: Path,
    heads: Sequence[ScanHead] = HEADS,
    cases: int | None = None,
    recipe: ClassifyRecipe = _RECIPE,
    train_split: str = "train",
    test_split: str = "test",
    engine: EngineConfig = _ENGINE,
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
) -> pd.DataFrame:
    """Classify scans by frozen features of a checkpoint, and by those of random weights.

    Each scan is embedded by the mean features of voxels of its body. Heads learn from the scans of
    the training split and are scored on those of the test split; nothing of the network is trained.

    Args:
        store: A prepared store.
        out: The folder for `scores.csv`, `predictions.csv` and `classification.json`.
        table: CSV with the columns `case` (an id of the store) and `label` (any text).
        checkpoint: A pre-training run or checkpoint file.
        heads: `linear`, `nonlinear` (one hidden layer) and `knn`.
        cases: Scans to learn from: all, or the first so many in a fixed order, the classes in turn.
        recipe: How scans are embedded and heads fitted.
        train_split: Where heads learn.
        test_split: Where they are scored.
        engine: Where to compute; one process.
        seed: Of random weights, the voxels drawn, and what the hidden layer starts from.
        resume: Keep a finished result in `out`; an unfinished one is computed again.
        overwrite: Delete what `out` holds.

    Returns:
        One row a head, metric and kind of features: `head`, `metric`, `features`, `value`, `low`,
        `high`, and for the checkpoint the paired difference to random weights with its interval:
        `difference`, `difference_low`, `difference_high`.

    Raises:
        ScanError: The table is unusable, or a class is missing in a split.
        SelfscanError: A folder in the way.
        ContractError: The store was prepared otherwise than what the checkpoint was trained on.
        ValueError: An argument out of range.
    """
    arguments = dict(locals())
    if not heads or set(heads) - set(HEADS) or len(set(heads)) < len(heads):
        raise ValueError(f"heads must be different ones of {', '.join(HEADS)}, got {list(heads)}")
    out, scans, labels = Path(out), Store(store), CaseTable.read(Path(table))
    train = labels.select(scans, train_split, cases=cases)
    test = labels.select(scans, test_split)
    start = starting_point(
        scans, checkpoint=Path(checkpoint), backbone=None, crop_size=None, window_hu=None
    )
    fabric = inference_fabric(engine)
    open_run_folder(out, arguments, fabric=fabric, resume=resume, overwrite=overwrite)
    if (out / "scores.csv").exists():
        return pd.read_csv(out / "scores.csv")
    require_intact_on_each_node(engine, fabric, train, test)
    embedded = {}
    for name, trained in ((CHECKPOINT, True), (RANDOM, False)):
        frozen, _ = freeze(start, seed=seed, overlap=recipe.overlap, fabric=fabric, trained=trained)
        embedded[name] = [
            pooled_features(frozen, part, voxels=recipe.voxels, seed=seed).numpy()
            for part in (train, test)
        ]
    rows, given = [], []
    truth = labels.classes(test)
    for head in heads:
        found = {
            name: class_probabilities(
                head,
                learned,
                labels.classes(train),
                asked,
                count=len(labels.names),
                penalty=recipe.penalty,
                neighbors=recipe.neighbors,
                seed=derive_seed(seed, "head"),
            )
            for name, (learned, asked) in embedded.items()
        }
        given += [_predictions(head, name, found[name], test, labels) for name in found]
        for metric, function in METRICS.items():
            for name, probabilities in found.items():
                value = estimate(function, truth, probabilities, test.subjects)
                row = {"head": head, "metric": metric, "features": name, **_named("", value)}
                if name == CHECKPOINT:
                    change = estimate(
                        function, truth, probabilities, test.subjects, against=found[RANDOM]
                    )
                    row |= _named("difference", change)
                rows.append(row)
    scores = pd.DataFrame(rows)
    facts = {"train": list(train.ids), "test": list(test.ids), "classes": labels.names}
    with written_atomically(out / "classification.json") as temporary:
        temporary.write_text(json.dumps(facts | provenance(), indent=2) + "\n")
    with written_atomically(out / "predictions.csv") as temporary:
        pd.concat(given).to_csv(temporary, index=False)
    with written_atomically(out / "scores.csv") as temporary:
        scores.to_csv(temporary, index=False)
    _print(scores, train=len(train), test=len(test), classes=labels.names)
    return scores


def _named(name: str, found: Estimate) -> dict[str, float]:
    first = {name or "value": found.value}
    return first | {f"{name}_{end}".lstrip("_"): getattr(found, end) for end in ("low", "high")}


def _predictions(
    head: str, name: str, probabilities: Any, test: Store, labels: CaseTable
) -> pd.DataFrame:
    columns = {f"p({kind})": probabilities[:, k] for k, kind in enumerate(labels.names)}
    true = [labels.class_of[id] for id in test.ids]
    said = [labels.names[k] for k in np.argmax(probabilities, axis=1)]
    facts = {"head": head, "features": name, "case": test.ids, "label": true, "predicted": said}
    return pd.DataFrame(facts | columns)


def _print(scores: pd.DataFrame, *, train: int, test: int, classes: Sequence[str]) -> None:
    table = Table(
        title=f"{len(classes)} classes, {train} scans learned from, {test} test scans "
        "(95% intervals)",
        title_justify="left",
        box=SIMPLE_HEAD,
    )
    for heading in ("head", "metric", "features", "value", "difference"):
        table.add_column(heading, justify="right" if heading in ("value", "difference") else "left")
    for row in scores.to_dict("records"):
        value = f"{row['value']:.3f} ({row['low']:.3f}, {row['high']:.3f})"
        low, high = row["difference_low"], row["difference_high"]
        change = f"{row['difference']:+.3f} ({low:+.3f}, {high:+.3f})"
        shown = change if row["features"] == CHECKPOINT else ""
        table.add_row(row["head"], row["metric"], row["features"], value, shown)
    console.print(table)
