"""What a comparison costs, measured on a few steps, and what of it fits into a given time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

from rich.box import SIMPLE_HEAD
from rich.table import Table

from selfscan.errors import SelfscanError
from selfscan.evaluation.cells import SCORES, TUNED, duration
from selfscan.evaluation.plan import Cell, Plan
from selfscan.evaluation.scoring import score_tuned
from selfscan.evaluation.statistics import LONG
from selfscan.progress import console
from selfscan.scans.store import Store
from selfscan.training.engine import EngineConfig
from selfscan.training.finetune import finetune, task_of

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_STEPS = (1, 1, 4)  # the first run warms up


@dataclass(frozen=True)
class Costs:
    """What one cell is made of, in seconds on one worker.

    Attributes:
        start: Reading weights and building the network, once a cell.
        step: One optimizer step.
        case: Segmenting or classifying one scan, and scoring it.
        model_bytes: Of one checkpoint file.
    """

    start: float
    step: float
    case: float
    model_bytes: int

    def seconds(self, cell: Cell, plan: Plan, *, trial: bool = False) -> float:
        """What a cell takes; the fit of a probe's head is not counted."""
        validation = _cases_of(plan.store, plan.classes, plan.validation_split)
        tested = 0 if trial else len(plan.test)
        if cell.protocol != "finetune":
            return self.start + self.case * (cell.labels + validation + tested)
        steps = plan.recipe.steps + cell.arm.extra_steps
        every = plan.recipe.validate_every
        looks = 1 + (steps - 1) // every if every else 1
        return self.start + self.step * steps + self.case * (validation * looks + tested)


@cache
def _cases_of(store: Path, classes: Path | None, split: str | None) -> int:
    found = task_of(classes).validation(Store(store), split)
    return len(found) if found else 0


def measure(plan: Plan, engine: EngineConfig) -> Costs:
    """Fine-tune for a few steps and score one case, in a folder that is deleted."""
    arm = plan.pictured
    recipe = replace(plan.recipe, window_hu=None if arm.checkpoint else plan.window_hu)
    taken: list[float] = []
    with TemporaryDirectory() as place:
        run = Path(place) / "run"
        for steps in _STEPS:
            begun = monotonic()
            finetune(
                plan.store,
                run,
                checkpoint=arm.checkpoint,
                backbone=plan.backbone,
                classes=plan.classes,
                cases=list(next(iter(plan.subsets.values()))),
                recipe=replace(recipe, steps=steps, validate_every=0),
                engine=engine,
                train_split=plan.train_split,
                validation_split=None,
                overwrite=True,
            )
            taken.append(monotonic() - begun)
        begun = monotonic()
        score_tuned(run, Store(plan.store).select(ids=plan.test[:1]), plan, engine)
        case = monotonic() - begun
        size = (run / "last.safetensors").stat().st_size
    step = max((taken[2] - taken[1]) / (_STEPS[2] - _STEPS[1]), 0.0)
    return Costs(max(taken[1] - step, 0.0), step, case, size)


def remaining(plan: Plan, costs: Costs, folder: Path) -> list[tuple[Cell, float]]:
    """The trials and cells that are not done, with seconds; a cell goes on from its trial."""
    tried = plan.trials()
    chosen = {cell.arm.name: cell.learning_rate for cell in tried}
    first = {
        cell.folder: (cell, costs.seconds(cell, plan, trial=True))
        for cell in tried
        if not (folder / cell.folder / TUNED).exists()
    }
    found = list(first.values())
    embedded: set[tuple[str, int]] = set()
    for cell in plan.cells(chosen):
        if not (folder / cell.folder / SCORES).exists():
            seconds = costs.seconds(cell, plan)
            if plan.classes is not None and cell.protocol != "finetune":
                # All heads of an arm and seed share the embeddings of its scans.
                shared = (cell.arm.name, cell.seed)
                seconds = costs.start if shared in embedded else seconds
                embedded.add(shared)
            found.append((cell, seconds - first.get(cell.folder, (cell, 0.0))[1]))
    return found


def fit_budget(
    plan: Plan, costs: Costs, folder: Path, *, seconds: float, workers: int
) -> tuple[Plan, list[str]]:
    """The largest design that takes no longer, and what was left out of the one asked for.

    Raises:
        SelfscanError: Not even the smallest fits.
    """
    left_out: list[str] = []
    for smaller, without in _reductions(plan):
        if without:
            left_out.append(without)
        took = sum(time for _, time in remaining(smaller, costs, folder)) / workers
        if took <= seconds:
            return smaller, left_out
    raise SelfscanError(
        f"found that the smallest comparison takes about {duration(took)}; expected it to fit into "
        f"the budget of {duration(seconds)}; give more time, fewer steps or fewer arms"
    )


def _reductions(plan: Plan) -> Iterator[tuple[Plan, str]]:
    """The plan, then ever smaller ones with what each lost: luxuries first, then precision."""
    yield plan, ""
    while len(plan.seeds) > 3:
        plan, lost = replace(plan, seeds=plan.seeds[:-1]), plan.seeds[-1]
        yield plan, f"seed {lost}"
    if any(arm.name == LONG for arm in plan.arms):
        plan = replace(plan, arms=tuple(arm for arm in plan.arms if arm.name != LONG))
        yield plan, f"the arm {LONG}"
    while len(plan.subsets) > 2:
        middle = list(plan.subsets)[len(plan.subsets) // 2]
        kept = {count: ids for count, ids in plan.subsets.items() if count != middle}
        plan = replace(plan, subsets=kept)
        yield plan, f"{middle} labelled cases"
    if plan.learning_rates:
        plan = replace(plan, learning_rates=())
        yield plan, "the choice of a learning rate for each arm"
    while len(plan.subsets) > 1:
        *most, largest = plan.subsets
        plan = replace(plan, subsets={count: plan.subsets[count] for count in most})
        yield plan, f"{largest} labelled cases"
    while len(plan.seeds) > 1:
        plan, lost = replace(plan, seeds=plan.seeds[:-1]), plan.seeds[-1]
        yield plan, f"seed {lost}"


def print_costs(plan: Plan, costs: Costs, folder: Path, *, workers: int) -> None:
    """Print a row an arm and protocol: cells to do, steps, time, disk; and when it will be done."""
    table = Table(title="To do", title_justify="left", box=SIMPLE_HEAD)
    for heading in ("what", "arm", "cells", "steps each", "time", "disk"):
        table.add_column(heading, justify="left" if heading in ("what", "arm") else "right")
    todo, tried = remaining(plan, costs, folder), set(plan.trials())
    groups: dict[tuple[str, str], list[tuple[Cell, float]]] = {}
    for number, (cell, seconds) in enumerate(todo):
        is_trial = cell in tried and number < len(tried)
        what = "learning rates" if is_trial else str(cell.protocol)
        groups.setdefault((what, cell.arm.name), []).append((cell, seconds))
    bytes_in_all = 0
    for (what, arm), found in groups.items():
        tuned = found[0][0].protocol == "finetune"
        steps = plan.recipe.steps + found[0][0].arm.extra_steps
        size = 2 * costs.model_bytes * len({cell.folder for cell, _ in found}) if tuned else 0
        bytes_in_all += size
        time = duration(sum(seconds for _, seconds in found))
        shown = f"{steps:,}" if tuned else "–"
        table.add_row(what, arm, str(len(found)), shown, time, _size(size))
    console.print(table)
    took = sum(seconds for _, seconds in todo) / workers
    console.print(
        f"about {duration(took)} with {workers} at a time ({costs.step:.2g} s a step, "
        f"{costs.case:.2g} s a scan), and {_size(bytes_in_all)} of disk",
        highlight=False,
        soft_wrap=True,
    )


def parse_duration(text: str) -> float:
    """Seconds of a time such as `90s`, `45m`, `2h` or `1.5d`.

    Raises:
        ValueError: It is none.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|m|min|h|d)\s*", text)
    if not found or float(found[1]) == 0:
        raise ValueError(f"budget must be a time such as 45m, 2h or 1.5d, got {text!r}")
    return float(found[1]) * _UNITS[found[2]]


def tell_left_out(left_out: Sequence[str], budget: str) -> None:
    """Print what does not fit into the budget."""
    if left_out:
        console.print(
            f"left out to fit into {budget}: {', '.join(left_out)}",
            style="yellow",
            soft_wrap=True,
            highlight=False,
        )


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
