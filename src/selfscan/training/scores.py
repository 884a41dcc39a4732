"""Scores of many cases: one row a case and class, and the table that sums them up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from rich.box import SIMPLE
from rich.table import Table

from selfscan.files import written_atomically
from selfscan.metrics import ClassMetrics
from selfscan.progress import details

METRICS = ("dice", "nsd", "hd95")


def score_rows(case: str, metrics: Sequence[ClassMetrics]) -> list[dict[str, Any]]:
    """The rows of one case: `case`, `label`, `class`, `dice`, `nsd`, `hd95`, `empty`."""
    rows = []
    for values in map(asdict, metrics):
        named = {"case": case, "label": values.pop("label"), "class": values.pop("name")}
        rows.append(named | values)
    return rows


def summarize_scores(cases: pd.DataFrame) -> pd.DataFrame:
    """A row a class: means of what has a score, and how many cases lack the class.

    Columns: `cases` (all), `scored` (in prediction or truth), `missed` (only in the truth),
    `invented` (only in the prediction), and the mean of each metric; HD95 is over the cases that
    are neither missed nor invented.
    """
    rows = []
    for name, group in cases.groupby("class", sort=False):
        counts = group["empty"].value_counts()
        rows.append(
            {
                "class": name,
                "cases": len(group),
                "scored": len(group) - int(counts.get("both", 0)),
                "missed": int(counts.get("prediction", 0)),
                "invented": int(counts.get("truth", 0)),
                **{metric: float(group[metric].mean()) for metric in METRICS},
            }
        )
    return pd.DataFrame(rows)


def save_scores(cases: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Write `cases.parquet`, `cases.csv` and `summary.csv`; return the summary."""
    summary = summarize_scores(cases)
    with written_atomically(folder / "cases.csv") as temporary:
        cases.to_csv(temporary, index=False)
    with written_atomically(folder / "summary.csv") as temporary:
        summary.to_csv(temporary, index=False)
    # Last, as its presence says that the rest is there.
    with written_atomically(folder / "cases.parquet") as temporary:
        cases.to_parquet(temporary, index=False)
    return summary


def print_scores(cases: pd.DataFrame, *, title: str, tolerance_mm: float) -> None:
    """Print the summary, and the mean over classes below it."""
    summary = summarize_scores(cases)
    table = Table(title=title, box=SIMPLE)
    for heading in ("class", "cases", "missed", "invented", "absent"):
        table.add_column(heading, justify="left" if heading == "class" else "right")
    for heading in ("Dice", f"NSD {tolerance_mm:g} mm", "HD95 mm"):
        table.add_column(heading, justify="right")
    for row in summary.to_dict("records"):
        counts = (row["cases"], row["missed"], row["invented"], row["cases"] - row["scored"])
        table.add_row(str(row["class"]), *map(str, counts), *_shown(row))
    table.add_section()
    table.add_row("mean", "", "", "", "", *_shown(summary[list(METRICS)].mean()))
    details.print(table)


def _shown(values: Any) -> list[str]:
    return [f"{values['dice']:.4f}", f"{values['nsd']:.4f}", f"{values['hd95']:.2f}"]
