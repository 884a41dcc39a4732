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
from selfscan.evaluation.cells import seconds_of
from selfscan.evaluation.labels_saved import labels_saved
from selfscan.evaluation.measures import Measure
from selfscan.evaluation.plan import Arm, Cell, Plan
from selfscan.evaluation.provenance import provenance
from selfscan.evaluation.statistics import LONG, SCRATCH, baseline_of, summarize
from selfscan.evaluation.verdict import p_text, verdicts
from selfscan.files import written_atomically
from selfscan.progress import console
from selfscan.scans.store import Store

PROTOCOL_NAMES = {
    "finetune": "Fine-tuning",
    "linear": "Linear probe of frozen features",
    "nonlinear": "Non-linear probe of frozen features",
    "knn": "Nearest neighbors by frozen features",
}


def by_protocol(cases: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of each protocol, fine-tuning first."""
    parts = {name: cases[cases["protocol"] == name] for name in PROTOCOL_NAMES}
    return {name: part for name, part in parts.items() if len(part)}


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
    parts = by_protocol(cases)
    baselines = {name: baseline_of(list(part["arm"].unique())) for name, part in parts.items()}
    tables = {
        "summary.csv": [
            summarize(part, baseline=baselines[name], measure=plan.measure).assign(protocol=name)
            for name, part in parts.items()
        ],
        "differences.csv": [
            plan.measure.paired(part, baseline=baseline).assign(protocol=name)
            for name, part in parts.items()
            if (baseline := baselines[name]) is not None
        ],
    }
    for file, found in tables.items():
        if found:
            with written_atomically(folder / file) as temporary:
                pd.concat(found).to_csv(temporary, index=False)
    scans = Store(plan.store)
    cells = [
        {"arm": c.arm.name, "labels": c.labels, "seed": c.seed, "folder": str(c.folder)}
        | {"protocol": c.protocol, "seconds": seconds_of(c, folder)}
        for c in plan.cells(rates)
    ]
    trials = [
        {"arm": c.arm.name, "learning_rate": c.learning_rate, plan.measure.key: score}
        for c, score in tried.items()
    ]
    outcome = {
        "arms": [_describe(arm, plan, rates, folder) for arm in plan.arms],
        "cells": cells,
        "trials": trials,
        "label_names": plan.task.label_names(scans),
        "contract": scans.contract.to_json(),
        "spacing": list(scans[scans.find(plan.test[0])].spacing),
        "seconds": round(seconds),
        **provenance(),
    }
    with written_atomically(folder / "outcome.json") as temporary:
        temporary.write_text(json.dumps(outcome, indent=2) + "\n")


def print_summary(cases: pd.DataFrame, measure: Measure) -> None:
    """For each protocol, print the table of scores and differences, and the verdicts."""
    for protocol, part in by_protocol(cases).items():
        _print_protocol(part, PROTOCOL_NAMES[protocol], measure)


def _print_protocol(cases: pd.DataFrame, name: str, measure: Measure) -> None:
    baseline = baseline_of(list(cases["arm"].unique()))
    table = Table(
        title=f"{name}: {measure.name} of the test cases (95% intervals)",
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),  # fits 80 columns
    )
    table.add_column("labels", justify="right")
    table.add_column("arm", overflow="fold")
    for heading in (measure.long_name, "difference", "p"):
        table.add_column(heading, justify="right", no_wrap=True)
    summary = summarize(cases, baseline=baseline, measure=measure).sort_values(
        "labels", kind="stable"
    )
    for row in summary.to_dict("records"):
        value, low, high = (row[f"{measure.key}{end}"] for end in ("", "_low", "_high"))
        shown = [f"{value:.3f} ({low:.3f}, {high:.3f})"]
        if baseline is not None and row["arm"] != baseline:
            interval = f"({row['difference_low']:+.3f}, {row['difference_high']:+.3f})"
            p_value = p_text(row["p_value"]).removeprefix("= ")
            shown += [f"{row['difference']:+.3f} {interval}", p_value]
        table.add_row(str(row["labels"]), row["arm"], *shown)
    console.print(table)
    if baseline is None:
        return
    lines = [
        f"{verdict.headline} {verdict.sentence}"
        for verdict in verdicts(cases, baseline=baseline, measure=measure)
    ]
    for found in labels_saved(cases, baseline=baseline, measure=measure):
        value, low, high = found.texts
        lines.append(
            f"{found.arm} with {found.labels} labels: {baseline} needs {value} for the same "
            f"{measure.name} (95% interval {low} to {high})"
        )
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


def _describe(arm: Arm, plan: Plan, rates: Mapping[str, float], folder: Path) -> dict[str, Any]:
    """What the report says of an arm; its curves and pictures are copied, to outlive the run."""
    rate = rates.get(SCRATCH if arm.name == LONG else arm.name, plan.recipe.optimizer.learning_rate)
    facts: dict[str, Any] = {"name": arm.name, "learning_rate": rate, "checkpoint": None}
    if arm.checkpoint is None:
        return facts | {"extra_steps": arm.extra_steps}
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
