"""Ids that name nobody, and the table, written only where a user wants it, of whose they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd

from selfscan.files import written_atomically
from selfscan.scans.inputs.sources import Source
from selfscan.scans.preparation.notes import Note, Settings, note_path
from selfscan.scans.record import ScanRecord

_DIGITS = 12


def named(source: Source, settings: Settings, *, pseudonyms: bool) -> Source:
    """The source under the id that its scan will have; whose scan it is stays what it was.

    The folder of a DICOM series is often named by a patient, so its id is a salted digest. Other
    cases have the names of their files, or salted digests too.

    Args:
        source: As the search named it.
        settings: Those of the store, for the salt.
        pseudonyms: Whether the names of files stay out of ids.
    """
    if source.kind == "file" and not pseudonyms:
        return source
    kind = "dicom" if source.kind == "dicom" else "scan"
    id = f"{kind}-{settings.digest(source.name)[:_DIGITS]}"
    return replace(source, name=id, subject=source.patient)


def write_origins(
    file: Path,
    out: Path,
    records: Iterable[ScanRecord],
    notes: Mapping[Path, Note],
    sources: Iterable[Source],
    settings: Settings,
) -> None:
    """Write which scan came from which files, as CSV: `id`, `path`, a row a file.

    Args:
        file: The table; its paths may name patients, so it belongs outside of the store.
        out: The store.
        records: The scans of its index; those of sources that are not given here have no row.
        notes: What became of each source, by the path of its note.
        sources: Those of this run.
        settings: Those of the store.
    """
    kept = {record.id for record in records}
    rows = [
        {"id": record.id, "path": str(path.resolve())}
        for source in sources
        if (note := notes.get(note_path(out, settings, source)))
        for record in note.records
        if record.id in kept
        for path in (*source.images, *filter(None, [source.labels]))
    ]
    with written_atomically(file) as temporary:
        table = pd.DataFrame(sorted(rows, key=lambda row: row["id"]), columns=["id", "path"])
        table.to_csv(temporary, index=False)
