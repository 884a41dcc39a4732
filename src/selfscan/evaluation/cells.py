"""One cell of a comparison: fine-tune or probe one arm once, and score it on every test case."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from selfscan.evaluation.plan import Cell, Plan
from selfscan.files import written_atomically
from selfscan.metrics import case_metrics
from selfscan.progress import console, one_of_many
from selfscan.scans.crew import crew, spread
from selfscan.scans.store import Store
from selfscan.training.engine import EngineConfig
from selfscan.training.finetune import finetune
from selfscan.training.probe import probe
from selfscan.training.scores import score_rows
from selfscan.training.segmentation import load_segmenter, segment_volume

SCORES, TUNED, TIME = "cases.parquet", "tuned.json", "scored.json"


def run_cells(
    cells: Sequence[Cell],
    action: Callable[[Cell], float],
    *,
    title: str,
    workers: int,
    scheduler: str | None,
) -> dict[Cell, float]:
    """Run every cell, here one by one or on Dask workers; a line tells of each, and the time left.

    Args:
        cells: Independent of each other.
        action: What to do with a cell; gives its mean Dice. It travels to the workers.
        title: What the lines begin with.
        workers: Processes on this machine; 1 stays in this one.
        scheduler: Address of a Dask scheduler whose workers see the same folders.

    Returns:
        What each cell gave.
    """
    found: dict[Cell, float] = {}
    if not cells:
        return found
    begun = monotonic()
    for cell, value in _results(cells, action, workers=workers, scheduler=scheduler):
        if isinstance(value, BaseException):
            raise value
        found[cell] = value
        elapsed = monotonic() - begun
        left = elapsed / len(found) * (len(cells) - len(found))
        console.print(
            f"{title} {len(found)}/{len(cells)}: {cell}: Dice {value:.3f}; "
            f"{duration(elapsed)} so far, about {duration(left)} left",
            highlight=False,
            soft_wrap=True,
        )
    return found


def tune(cell: Cell, plan: Plan, out: Path, engine: EngineConfig) -> float:
    """Fine-tune the cell's network, or finish what was begun; return its best validation Dice.

    What only a resumed run needs is deleted at the end, and `tuned.json` says that it was reached.
    """
    folder = out / cell.folder
    done = folder / TUNED
    if not done.exists():
        recipe = replace(
            plan.recipe,
            steps=plan.recipe.steps + cell.arm.extra_steps,
            optimizer=replace(plan.recipe.optimizer, learning_rate=cell.learning_rate),
            window_hu=plan.recipe.window_hu if cell.arm.checkpoint else plan.window_hu,
        )
        begun = monotonic()
        with one_of_many():
            finetune(
                plan.store,
                folder,
                checkpoint=cell.arm.checkpoint,
                backbone=plan.backbone,
                cases=list(plan.subsets[cell.labels]),
                recipe=recipe,
                engine=engine,
                seed=cell.seed,
                train_split=plan.train_split,
                validation_split=plan.validation_split,
                resume=folder.exists(),
            )
        found = {"dice": validation_dice(folder), "seconds": round(monotonic() - begun, 1)}
        with written_atomically(done) as temporary:
            temporary.write_text(json.dumps(found) + "\n")
        (folder / "state.ckpt").unlink(missing_ok=True)
    return float(json.loads(done.read_text())["dice"])


def score(cell: Cell, plan: Plan, out: Path, engine: EngineConfig) -> float:
    """Fine-tune or probe, segment each test case, write the scores; return the mean Dice.

    A cell that has its scores is done.
    """
    file = out / cell.folder / SCORES
    if not file.exists():
        begun = monotonic()
        store = Store(plan.store).select(ids=plan.test)
        subject_of = dict(zip(store.ids, store.subjects, strict=True))
        if cell.protocol == "finetune":
            tune(cell, plan, out, engine)
            begun = monotonic() - json.loads((file.parent / TUNED).read_text())["seconds"]
            rows = score_cases(file.parent, store, plan, engine)
        else:
            with one_of_many():
                rows = _probed(cell, file.parent / "probe", plan, engine)
        placed: dict[str, Any] = {"protocol": cell.protocol, "arm": cell.arm.name}
        placed |= {"labels": cell.labels, "seed": cell.seed}
        table = pd.DataFrame([placed | row | {"subject": subject_of[row["case"]]} for row in rows])
        with written_atomically(file) as temporary:
            table.to_parquet(temporary, index=False)
        with written_atomically(file.with_name(TIME)) as temporary:
            temporary.write_text(json.dumps({"seconds": round(monotonic() - begun, 1)}) + "\n")
    return float(pd.read_parquet(file)["dice"].mean())


def seconds_of(cell: Cell, out: Path) -> float | None:
    """How long a cell took, training and scoring, since it was last begun; None where unknown."""
    file = out / cell.folder / TIME
    return float(json.loads(file.read_text())["seconds"]) if file.exists() else None


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


def gather_scores(cells: Sequence[Cell], out: Path) -> pd.DataFrame:
    """The scores of all cells, also written to `cases.parquet`."""
    tables = [
        pd.read_parquet(out / cell.folder / SCORES).assign(protocol=cell.protocol) for cell in cells
    ]
    cases = pd.concat(tables)
    with written_atomically(out / SCORES) as temporary:
        cases.to_parquet(temporary, index=False)
    return cases.reset_index(drop=True)


def validation_dice(folder: Path) -> float:
    """The best mean Dice of the validation cases during a fine-tuning run."""
    metrics = pd.read_csv(folder / "metrics.csv")
    return float(metrics.loc[metrics["name"] == "validation/dice", "value"].max())


def score_cases(
    folder: Path, store: Store, plan: Plan, engine: EngineConfig
) -> list[dict[str, Any]]:
    """Rows of scores that a fine-tuned model has on scans, one a case and class."""
    rows: list[dict[str, Any]] = []
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


def _probed(cell: Cell, folder: Path, plan: Plan, engine: EngineConfig) -> list[dict[str, Any]]:
    assert cell.protocol != "finetune"
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


def _results(
    cells: Sequence[Cell],
    action: Callable[[Cell], float],
    *,
    workers: int,
    scheduler: str | None,
) -> Iterator[tuple[Cell, float | BaseException]]:
    if workers == 1 and scheduler is None:
        for cell in cells:
            yield cell, action(cell)
        return
    with crew(min(workers, len(cells)), scheduler) as client:
        yield from spread(client, action, cells)


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
