"""The closing table of `prepare`: what is in the store, what was left out and why."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from selfscan.scans.inputs.sources import Unusable
from selfscan.scans.record import ScanRecord
from selfscan.scans.scan import BURNED_IN

_SHOWN = 20  # rows of a table; the rest is counted and stands in the store


def closing_table(
    records: Iterable[ScanRecord], rejected: Iterable[Unusable], *, listed_in: str | None = None
) -> RenderableType:
    """What the user should know when a store is done.

    Args:
        records: The scans in it.
        rejected: What was left out.
        listed_in: What has all rows; None for the tables of the store.
    """
    all_scans, all_rejected = (listed_in or f"{name}.parquet" for name in ("scans", "rejected"))
    kept, left_out = list(records), sorted(rejected, key=lambda item: str(item.path))
    scans = Table("kept", "scans")
    scans.add_row("all", str(len(kept)))
    for name, count in sorted(Counter(" + ".join(scan.modality) for scan in kept).items()):
        scans.add_row(f"modality {name}", str(count))
    for split, count in sorted(Counter(scan.split or "" for scan in kept).items()):
        scans.add_row(f"split {split}" if split else "in no split", str(count))
    scans.add_row("labelled", str(sum(scan.labelled for scan in kept)))
    tables: list[RenderableType] = [scans]
    warnings = Counter(warning for scan in kept for warning in scan.warnings)
    if warnings:
        told = Table("warning", "scans")
        # What may be a name comes first, however rare it is.
        by_count = sorted(warnings.items(), key=lambda it: (BURNED_IN not in it[0], -it[1]))
        for warning, count in by_count[:_SHOWN]:
            told.add_row(escape(warning), str(count))
        tables += [told, *_rest(len(warnings), all_scans)]
    repeats = [scan for scan in kept if scan.near_duplicate_of is not None]
    if repeats:
        tables += [_repeats(repeats, kept), *_rest(len(repeats), all_scans)]
    if left_out:
        refused = Table(title=f"left out: {len(left_out)}", title_justify="left")
        refused.add_column("input", overflow="fold", ratio=1)
        refused.add_column("why", ratio=2)
        common = common_folder([item.path for item in left_out])
        for item in left_out[:_SHOWN]:
            shown = item.path.relative_to(common) if common else item.path
            refused.add_row(escape(str(shown)), escape(item.reason))
        tables += [refused, *_rest(len(left_out), all_rejected)]
    return Group(*tables)


def _repeats(repeats: Sequence[ScanRecord], kept: Iterable[ScanRecord]) -> Table:
    """Which scan nearly repeats which, each with its split."""
    split_of = {scan.id: scan.split for scan in kept}
    table = Table(title=f"near-duplicates: {len(repeats)}", title_justify="left")
    for heading in ("scan", "nearly the same as"):
        table.add_column(heading, overflow="fold")
    for scan in repeats[:_SHOWN]:
        first = scan.near_duplicate_of or ""
        named = [f"{id} ({split_of[id]})" if split_of[id] else id for id in (scan.id, first)]
        table.add_row(*map(escape, named))
    return table


def common_folder(paths: Sequence[Path]) -> Path | None:
    """The folder that all inputs lie in, which need not be repeated in each row."""
    if len(paths) < 2 or not all(path.is_absolute() for path in paths):
        return None
    return Path(os.path.commonpath([path.parent for path in paths]))


def _rest(rows: int, file: str) -> list[RenderableType]:
    return [f"and {rows - _SHOWN} more in {file}"] if rows > _SHOWN else []
