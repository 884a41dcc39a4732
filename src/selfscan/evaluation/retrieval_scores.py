"""The errors of retrieval: a row a query and embedding, and the table that sums them up."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.table import Table

from selfscan.files import written_atomically
from selfscan.progress import console

WITHIN_MM = (5, 10, 20)
KINDS = {"warp": "the same scan, warped", "organs": "another patient, middle of an organ"}


def summarize_errors(errors: pd.DataFrame) -> pd.DataFrame:
    """A row a kind of query and embedding: `queries`, `median_mm`, `mean_mm`, `within_5_mm`, ..."""
    groups = errors.groupby(["kind", "embedding"], sort=False)["error_mm"]
    columns = {"queries": groups.size(), "median_mm": groups.median(), "mean_mm": groups.mean()}
    shares = {f"within_{mm}_mm": groups.agg(lambda e, mm=mm: (e <= mm).mean()) for mm in WITHIN_MM}
    return pd.DataFrame(columns | shares).reset_index()


def save_errors(errors: pd.DataFrame, folder: Path) -> None:
    """Write `summary.csv` and `retrieval.parquet`."""
    with written_atomically(folder / "summary.csv") as temporary:
        summarize_errors(errors).to_csv(temporary, index=False)
    # Last, as its presence says that the rest is there.
    with written_atomically(folder / "retrieval.parquet") as temporary:
        errors.to_parquet(temporary, index=False)


def print_errors(errors: pd.DataFrame) -> None:
    """Print the summary, a block a kind of query."""
    table = Table(
        title="Distance from the true place",
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),  # fits 80 columns
    )
    for heading in ("queries", "embedding"):
        table.add_column(heading, no_wrap=True)
    for heading in ("median mm", "mean mm", *(f"≤ {mm} mm" for mm in WITHIN_MM)):
        table.add_column(heading, justify="right", no_wrap=True)
    for kind, rows in summarize_errors(errors).groupby("kind", sort=False):
        table.add_section()
        for place, row in enumerate(rows.to_dict("records")):
            shares = [f"{row[f'within_{mm}_mm']:.1%}" for mm in WITHIN_MM]
            first = f"{kind} ({row['queries']})" if place == 0 else ""
            lengths = [f"{row[name]:.1f}" for name in ("median_mm", "mean_mm")]
            table.add_row(first, row["embedding"], *lengths, *shares)
    console.print(table)
