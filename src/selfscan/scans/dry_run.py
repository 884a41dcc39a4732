"""What `prepare` would keep and leave out, and why, without writing anything."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from selfscan.files import written_atomically
from selfscan.scans.index import KeepOrDrop, settle
from selfscan.scans.ingesting import ingest_each
from selfscan.scans.inputs.sources import Found, Unusable
from selfscan.scans.preparation.notes import Note, Settings, note_path
from selfscan.scans.record import ScanRecord


def dry_run(
    found: Found, settings: Settings, *, near: KeepOrDrop, workers: int, scheduler: str | None
) -> tuple[list[ScanRecord], list[Unusable]]:
    """Read every scan as `prepare` does, whole, since only voxels tell a truncated or empty one.

    Resampling and writing are what it saves, so shapes and spacings are those of the files.

    Args:
        found: What the search found.
        settings: Those of the store that would be.
        near: Whether near-duplicates would stay.
        workers: Processes on this machine.
        scheduler: Address of a running Dask scheduler.

    Returns:
        The scans that would be kept, and what would be left out.
    """
    settings = replace(settings, contract=replace(settings.contract, spacing=None))
    rejected = list(found.unusable)
    notes: dict[Path, Note] = {}
    each = ingest_each(
        found.sources,
        settings,
        out=None,
        title="dry run",
        left_out=len(rejected),
        workers=workers,
        scheduler=scheduler,
    )
    with TemporaryDirectory() as place:
        nowhere = Path(place)
        for item, note in each:
            notes[note_path(nowhere, settings, item)] = note
            rejected += note.unusable
        records, left_out = settle(notes, found.sources, nowhere, settings, near=near)
    return records, rejected + left_out


def write_table(records: list[ScanRecord], rejected: list[Unusable], file: Path) -> None:
    """Write a row a scan kept and an input left out, as CSV.

    Columns: `kept`, `name` (of the scan, or the path of the input), `reason`, `warnings`,
    `modality`, `shape`, `spacing_mm`, `split`, `labelled`.
    """
    kept = [
        {
            "kept": True,
            "name": record.id,
            "reason": "",
            "warnings": "; ".join(record.warnings),
            "modality": " + ".join(record.modality),
            "shape": " x ".join(map(str, record.shape)),
            "spacing_mm": " x ".join(f"{step:.4g}" for step in record.spacing),
            "split": record.split or "",
            "labelled": record.labelled,
        }
        for record in records
    ]
    dropped = [
        {"kept": False, "name": str(item.path), "reason": item.reason}
        for item in sorted(rejected, key=lambda item: str(item.path))
    ]
    with written_atomically(file) as temporary:
        pd.DataFrame([*kept, *dropped]).to_csv(temporary, index=False)
