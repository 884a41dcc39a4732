"""How a model or a head is scored on test cases: rows of overlap, or of class probabilities."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from selfscan.checkpoints.loading import tell_load_report
from selfscan.evaluation.embeddings import scan_embeddings
from selfscan.evaluation.plan import Cell, Plan
from selfscan.metrics import case_metrics
from selfscan.scans.store import Store
from selfscan.training.case_table import CaseTable
from selfscan.training.classifier import load_classifier
from selfscan.training.engine import EngineConfig
from selfscan.training.probe import probe
from selfscan.training.scan_heads import class_probabilities
from selfscan.training.scores import score_rows
from selfscan.training.seeds import derive_seed
from selfscan.training.segmentation import load_segmenter, segment_volume
from selfscan.training.supervised_classes import class_probabilities_of

Rows = list[dict[str, Any]]


def score_tuned(folder: Path, store: Store, plan: Plan, engine: EngineConfig) -> Rows:
    """Rows of scores that a fine-tuned model has on scans: one a case, and class of voxels."""
    return (_segmented if plan.classes is None else _classified)(folder, store, plan, engine)


def score_probed(
    cell: Cell, folder: Path, store: Store, plan: Plan, out: Path, engine: EngineConfig
) -> Rows:
    """Rows of scores that a head on frozen features has on the test scans.

    Args:
        cell: What is fitted.
        folder: Where the probe may leave what it likes.
        store: The test scans.
        plan: The comparison.
        out: Its folder, where embeddings of scans are kept.
        engine: Where to compute.
    """
    if plan.classes is None:
        return _probed_voxels(cell, folder, plan, engine)
    return _probed_scans(cell, folder, store, plan, out, engine)


def predictions(
    folder: Path, store: Store, plan: Plan, engine: EngineConfig
) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """The labels, (X, Y, Z) in the store's grid, that a fine-tuned model gives each scan."""
    segmenter, checkpoint = load_segmenter(folder)
    device = engine.fabric().device
    segmenter.to(device)
    for i, record in enumerate(store):
        probabilities = segment_volume(
            segmenter,
            store.read(i),
            record.hounsfield,
            crop_size=checkpoint.crop_size,
            overlap=plan.recipe.overlap,
            device=device,
        )
        yield record.id, np.argmax(probabilities, axis=0).astype(np.uint8)


def _segmented(folder: Path, store: Store, plan: Plan, engine: EngineConfig) -> Rows:
    rows: Rows = []
    for id, prediction in predictions(folder, store, plan, engine):
        i = store.find(id)
        metrics = case_metrics(
            prediction,
            store.read_labels(i),
            classes=store.label_names,
            spacing=store[i].spacing,
            tolerance_mm=plan.tolerance_mm,
        )
        rows += score_rows(id, metrics)
    return rows


def _classified(folder: Path, store: Store, plan: Plan, engine: EngineConfig) -> Rows:
    classifier, checkpoint = load_classifier(folder)
    fabric = engine.fabric()
    classifier.to(fabric.device)
    given = class_probabilities_of(
        classifier,
        store,
        crop_size=checkpoint.crop_size,
        overlap=plan.recipe.overlap,
        fabric=fabric,
    )
    return _class_rows(given.numpy(), store, _table(plan))


def _probed_voxels(cell: Cell, folder: Path, plan: Plan, engine: EngineConfig) -> Rows:
    assert cell.protocol in ("linear", "nonlinear")
    scored = probe(
        plan.store,
        folder,
        checkpoint=cell.arm.checkpoint,
        backbone=None if cell.arm.checkpoint else plan.backbone,
        head=cell.protocol,
        part=plan.part,
        cases=list(plan.subsets[cell.labels]),
        recipe=replace(
            plan.probe,
            crop_size=plan.recipe.crop_size,
            window_hu=None if cell.arm.checkpoint else plan.window_hu,
            tolerance_mm=plan.tolerance_mm,
        ),
        train_split=plan.train_split,
        validation_split=plan.validation_split,
        test_split=plan.test_split,
        engine=engine,
        seed=cell.seed,
        resume=folder.exists(),
    )
    return [{str(key): value for key, value in row.items()} for row in scored.to_dict("records")]


def _probed_scans(
    cell: Cell, folder: Path, store: Store, plan: Plan, out: Path, engine: EngineConfig
) -> Rows:
    assert cell.protocol != "finetune"
    train, table = Store(plan.store).select(ids=plan.subsets[cell.labels]), _table(plan)
    found, report = scan_embeddings(cell, plan, out, engine)
    folder.mkdir(parents=True, exist_ok=True)
    tell_load_report(report, folder)
    given = class_probabilities(
        cell.protocol,
        np.stack([found[id] for id in train.ids]),
        table.classes(train),
        np.stack([found[id] for id in store.ids]),
        count=len(table.names),
        penalty=plan.classifying.penalty,
        neighbors=plan.classifying.neighbors,
        seed=derive_seed(cell.seed, "head"),
    )
    return _class_rows(given, store, table)


def _table(plan: Plan) -> CaseTable:
    assert plan.classes is not None
    return CaseTable.read(plan.classes)


def _class_rows(given: npt.NDArray[Any], store: Store, table: CaseTable) -> Rows:
    return [
        {"case": id, "class": table.class_of[id]}
        | {f"p({name})": float(p) for name, p in zip(table.names, row, strict=True)}
        for id, row in zip(store.ids, given, strict=True)
    ]
