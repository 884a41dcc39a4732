"""One cell of a comparison: fine-tune or probe one arm once, and score it on every test case."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import pandas as pd

from selfscan.evaluation.plan import Cell, Plan
from selfscan.evaluation.scoring import score_probed, score_tuned
from selfscan.files import written_atomically
from selfscan.progress import console, one_of_many
from selfscan.scans.crew import crew, spread
from selfscan.scans.store import Store
from selfscan.training.engine import EngineConfig
from selfscan.training.finetune import finetune

SCORES, TUNED, TIME = "cases.parquet", "tuned.json", "scored.json"


def run_cells(
    cells: Sequence[Cell],
    action: Callable[[Cell], float],
    *,
    title: str,
    score: str,
    workers: int,
    scheduler: str | None,
) -> dict[Cell, float]:
    """Run every cell, here one by one or on Dask workers; a line tells of each, and the time left.

    Args:
        cells: Independent of each other.
        action: What to do with a cell; gives its score. It travels to the workers.
        title: What the lines begin with.
        score: What the score is called.
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
            f"{title} {len(found)}/{len(cells)}: {cell}: {score} {value:.3f}; "
            f"{duration(elapsed)} so far, about {duration(left)} left",
            highlight=False,
            soft_wrap=True,
        )
    return found


def tune(cell: Cell, plan: Plan, out: Path, engine: EngineConfig) -> float:
    """Fine-tune the cell's network, or finish what was begun; return its best validation score.

    What only a resumed run needs is deleted at the end, and `tuned.json` says that it was reached.
    """
    folder, key = out / cell.folder, plan.measure.key
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
                classes=plan.classes,
                cases=list(plan.subsets[cell.labels]),
                recipe=recipe,
                engine=engine,
                seed=cell.seed,
                train_split=plan.train_split,
                validation_split=plan.validation_split,
                resume=folder.exists(),
            )
        found = {key: best_validation(folder, key), "seconds": round(monotonic() - begun, 1)}
        with written_atomically(done) as temporary:
            temporary.write_text(json.dumps(found) + "\n")
        (folder / "state.ckpt").unlink(missing_ok=True)
    return float(json.loads(done.read_text())[key])


def score(cell: Cell, plan: Plan, out: Path, engine: EngineConfig) -> float:
    """Fine-tune or probe, predict each test case, write the scores; return the score of all.

    A cell that has its scores is done.
    """
    file = out / cell.folder / SCORES
    if not file.exists():
        begun = monotonic()
        store = Store(plan.store).select(ids=plan.test)
        subject_of = dict(zip(store.ids, store.subjects, strict=True))
        if cell.protocol == "finetune":
            tune(cell, plan, out, engine)
            tuned = json.loads((file.parent / TUNED).read_text())
            begun = monotonic() - tuned.get("seconds", 0.0)  # earlier versions kept no time
            rows = score_tuned(file.parent, store, plan, engine)
        else:
            with one_of_many():
                rows = score_probed(cell, file.parent / "probe", store, plan, out, engine)
        placed: dict[str, Any] = {"protocol": cell.protocol, "arm": cell.arm.name}
        placed |= {"labels": cell.labels, "seed": cell.seed}
        table = pd.DataFrame([placed | row | {"subject": subject_of[row["case"]]} for row in rows])
        with written_atomically(file) as temporary:
            table.to_parquet(temporary, index=False)
        with written_atomically(file.with_name(TIME)) as temporary:
            temporary.write_text(json.dumps({"seconds": round(monotonic() - begun, 1)}) + "\n")
    return plan.measure.value(pd.read_parquet(file))


def seconds_of(cell: Cell, out: Path) -> float | None:
    """How long a cell took, training and scoring, since it was last begun; None where unknown."""
    file = out / cell.folder / TIME
    return float(json.loads(file.read_text())["seconds"]) if file.exists() else None


def gather_scores(cells: Sequence[Cell], out: Path) -> pd.DataFrame:
    """The scores of all cells, also written to `cases.parquet`."""
    tables = [
        pd.read_parquet(out / cell.folder / SCORES).assign(protocol=cell.protocol) for cell in cells
    ]
    cases = pd.concat(tables)
    with written_atomically(out / SCORES) as temporary:
        cases.to_parquet(temporary, index=False)
    return cases.reset_index(drop=True)


def best_validation(folder: Path, key: str) -> float:
    """The best score of the validation cases during a fine-tuning run."""
    metrics = pd.read_csv(folder / "metrics.csv")
    return float(metrics.loc[metrics["name"] == f"validation/{key}", "value"].max())


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
