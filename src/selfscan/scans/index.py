"""The notes of all workers become the index: one table of scans, one of what was left out."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from selfscan.files import written_atomically
from selfscan.scans.columns import ROWS
from selfscan.scans.inputs.sources import Source, Unusable
from selfscan.scans.near_duplicates import marked, near_duplicates, preference, reason_for
from selfscan.scans.parts import told_parts
from selfscan.scans.preparation.notes import Note, Settings, note_path
from selfscan.scans.record import SCHEMA, ScanRecord

KeepOrDrop = Literal["keep", "drop"]
_REJECTED = pa.schema([("path", pa.string()), ("reason", pa.string())])


def settle(
    notes: Mapping[Path, Note],
    sources: Iterable[Source],
    out: Path,
    settings: Settings,
    *,
    near: KeepOrDrop = "keep",
) -> tuple[list[ScanRecord], list[Unusable]]:
    """Decide which scans stay: sorted by id, no content twice, one number of channels.

    The outcome depends on the notes and sources, not on the order in which workers finished.

    Args:
        notes: What became of each source, by the path of its note.
        sources: The sources of this run; they say in which split their scans are. Notes of other
            sources are from earlier runs; where names collide, this run's scan stays.
        out: The store.
        settings: The store's settings.
        near: Whether near-duplicates stay, marked, or all but the first of each group go.

    Returns:
        The scans that stay, and those left out. The latter are taken out of their notes, so that a
        later run looks at them again.
    """
    source_of = {note_path(out, settings, source): source for source in sources}
    present = {record.id for path in source_of if path in notes for record in notes[path].records}
    candidates: list[tuple[ScanRecord, Path]] = []
    for path, note in notes.items():
        source = source_of.get(path)
        for record in note.records:
            if source is not None:
                candidates.append((replace(record, split=source.split), path))
            elif record.id not in present:
                candidates.append((record, path))
            else:
                path.unlink(missing_ok=True)
    candidates.sort(key=lambda candidate: candidate[0].id)
    counts = Counter(record.channels for record, _ in candidates)
    usual = max(counts, key=lambda channels: (counts[channels], channels), default=1)
    kept: dict[str, ScanRecord] = {}
    refused: dict[str, str] = {}
    # A copy of a test case never takes its place, as among near-duplicates.
    for record, _ in sorted(candidates, key=lambda candidate: preference(candidate[0])):
        if record.channels != usual:
            refused[record.id] = (
                f"found {record.channels} channels; expected {usual}, as most scans here have; "
                "prepare it into another store"
            )
        elif record.source_digest in kept:
            refused[record.id] = f"same content as {kept[record.source_digest].id}"
        else:
            kept[record.source_digest] = record
    first_of = near_duplicates(kept.values())
    if near == "drop":
        refused |= {id: reason_for(first) for id, first in first_of.items()}
    left_out: list[Unusable] = []
    gone: defaultdict[Path, set[str]] = defaultdict(set)
    for record, path in candidates:
        if record.id in refused:
            origin = source_of[path].images[0] if path in source_of else Path(record.id)
            left_out.append(Unusable(origin, refused[record.id]))
            gone[path].add(record.id)
    for path, ids in gone.items():
        _take_out(ids, notes[path], path)
    stay = [record for record in kept.values() if record.id not in refused]
    stay.sort(key=lambda record: record.id)
    return marked(told_parts(stay), {} if near == "drop" else first_of), left_out


def _take_out(ids: set[str], note: Note, path: Path) -> None:
    """Rewrite a note without these scans: its source counts as new, others stay."""
    rest = tuple(record for record in note.records if record.id not in ids)
    if rest:
        replace(note, stamp="", records=rest).write(path)
    else:
        path.unlink(missing_ok=True)


def write_index(
    out: Path,
    records: Iterable[ScanRecord],
    rejected: Iterable[Unusable],
    label_names: Mapping[int, str],
) -> None:
    """Write `rejected.parquet`, `labels.json` and, last, `scans.parquet`."""
    unusable = sorted((str(item.path), item.reason) for item in rejected)
    rows = [{"path": path, "reason": reason} for path, reason in unusable]
    with written_atomically(out / "rejected.parquet") as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=_REJECTED), temporary)
    if label_names:
        named = {str(value): name for value, name in sorted(label_names.items())}
        with written_atomically(out / "labels.json") as temporary:
            temporary.write_text(json.dumps(named, indent=2, ensure_ascii=False) + "\n")
    waiting = iter(records)
    part = list(islice(waiting, ROWS))
    if not part:
        return
    with (
        written_atomically(out / "scans.parquet") as temporary,
        pq.ParquetWriter(temporary, SCHEMA, write_page_checksum=True) as index,
    ):
        while part:
            rows = [record.to_row() for record in part]
            index.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))
            part = list(islice(waiting, ROWS))


def sweep(out: Path, records: Iterable[ScanRecord]) -> None:
    """Delete volumes that belong to no scan of the index, and what killed processes left."""
    names = {f"{record.id}.b2nd": record for record in records}
    for kind in ("volumes", "foreground", "labels"):
        for file in (out / kind).glob("*"):
            if file.is_dir() and not file.is_symlink():
                continue  # none of ours
            record = names.get(file.name)
            if record is None or (kind == "labels" and not record.labelled):
                file.unlink()
    for file in (out / "records").glob(".*"):
        file.unlink()
