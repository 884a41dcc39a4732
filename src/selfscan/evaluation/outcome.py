"""How a comparison went: rates chosen, arms, time, versions; and a table of its scores."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.table import Table

from selfscan.checkpoints.checkpoint import load
from selfscan.evaluation.labels_saved import labels_saved
from selfscan.evaluation.plan import Arm, Cell, Plan
from selfscan.evaluation.provenance import provenance
from selfscan.evaluation.statistics import paired, summarize
from selfscan.evaluation.verdict import p_text, verdicts
from selfscan.files import written_atomically
from selfscan.progress import console
from selfscan.scans.store import Store


def best_rates(tried: Mapping[Cell, float]) -> dict[str, float]:
    """The learning rate of each arm with the best validation Dice; empty where none was tried."""
    best: dict[str, tuple[float, float]] = {}
    for cell, dice in tried.items():
        if dice > best.get(cell.arm.name, (-1.0, 0.0))[0]:
            best[cell.arm.name] = (dice, cell.learning_rate)
    return {arm: rate for arm, (_, rate) in best.items()}


def save_outcome(
    cases: pd.DataFrame,
    plan: Plan,
    tried: Mapping[Cell, float],
    rates: Mapping[str, float],
    folder: Path,
    *,
    seconds: float,
) -> None:
    """Write what was found and how: tables, `outcome.json`, and what runs can show, in `arms/`.

    `summary.csv` has a row an arm and number of labels, `differences.csv` one a test case too.
    """
    with written_atomically(folder / "summary.csv") as temporary:
        summarize(cases, baseline=plan.baseline).to_csv(temporary, index=False)
    if plan.baseline is not None:
        with written_atomically(folder / "differences.csv") as temporary:
            paired(cases, baseline=plan.baseline).to_csv(temporary, index=False)
    scans = Store(plan.store)
    cells = [
        {"arm": c.arm.name, "labels": c.labels, "seed": c.seed, "folder": str(c.folder)}
        for c in plan.cells(rates)
    ]
    trials = [
        {"arm": c.arm.name, "learning_rate": c.learning_rate, "dice": dice}
        for c, dice in tried.items()
    ]
    outcome = {
        "arms": [_describe(arm, plan, rates, folder) for arm in plan.arms],
        "cells": cells,
        "trials": trials,
        "label_names": scans.label_names,
        "contract": scans.contract.to_json(),
        "spacing": list(scans[scans.find(plan.test[0])].spacing),
        "seconds": round(seconds),
        **provenance(),
    }
    with written_atomically(folder / "outcome.json") as temporary:
        temporary.write_text(json.dumps(outcome, indent=2) + "\n")


def print_summary(cases: pd.DataFrame, plan: Plan) -> None:
    """Print the table of mean Dice and differences, and the verdicts."""
    table = Table(
        title="Dice of the test cases (95% intervals)",
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),  # fits 80 columns
    )
    table.add_column("labels", justify="right")
    table.add_column("arm", overflow="fold")
    for heading in ("mean Dice", "difference", "p"):
        table.add_column(heading, justify="right", no_wrap=True)
    summary = summarize(cases, baseline=plan.baseline).sort_values("labels", kind="stable")
    for row in summary.to_dict("records"):
        shown = [f"{row['dice']:.3f} ({row['dice_low']:.3f}, {row['dice_high']:.3f})"]
        if plan.baseline is not None and row["arm"] != plan.baseline:
            interval = f"({row['difference_low']:+.3f}, {row['difference_high']:+.3f})"
            p_value = p_text(row["p_value"]).removeprefix("= ")
            shown += [f"{row['difference']:+.3f} {interval}", p_value]
        table.add_row(str(row["labels"]), row["arm"], *shown)
    console.print(table)
    for verdict in verdicts(cases, baseline=plan.baseline) if plan.baseline else []:
        console.print(f"{verdict.headline} {verdict.sentence}", highlight=False, soft_wrap=True)
    for found in labels_saved(cases, baseline=plan.baseline) if plan.baseline else []:
        value, low, high = found.texts
        console.print(
            f"{found.arm} with {found.labels} labels: {plan.baseline} needs {value} for the same "
            f"Dice (95% interval {low} to {high})",
            highlight=False,
            soft_wrap=True,
        )


def _describe(arm: Arm, plan: Plan, rates: Mapping[str, float], folder: Path) -> dict[str, Any]:
    """What the report says of an arm; its curves and pictures are copied, to outlive the run."""
    rate = rates.get(arm.name, plan.recipe.optimizer.learning_rate)
    facts: dict[str, Any] = {"name": arm.name, "learning_rate": rate, "checkpoint": None}
    if arm.checkpoint is None:
        return facts
    checkpoint = load(arm.checkpoint)
    method = checkpoint.method
    kept = folder / "arms" / arm.name
    kept.mkdir(parents=True, exist_ok=True)
    for name in ("metrics.csv", "examples.npz"):
        if (arm.checkpoint.parent / name).exists():
            shutil.copyfile(arm.checkpoint.parent / name, kept / name)
    return facts | {
        "checkpoint": str(arm.checkpoint),
        "method": method.name if method else "",
        "source": method.source if method else "",
        "license_note": checkpoint.license_note,
        "steps": checkpoint.steps,
        "scans": checkpoint.scans,
        "version": checkpoint.version,
    }
