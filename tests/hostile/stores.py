"""Stores as targets: any of their files, the cells of their index, the file of one volume."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from mutation import mutated
from seeds import Seed, one, voxels

from selfscan.scans.contract import PreprocessingContract
from selfscan.scans.index import write_index
from selfscan.scans.inputs.sources import Source, Unusable
from selfscan.scans.preparation.ingest import store_scan
from selfscan.scans.preparation.notes import Settings
from selfscan.scans.scan import Scan
from selfscan.scans.seen import Seen
from selfscan.scans.store import Store
from selfscan.scans.volumes import VolumeFiles, write_volume
from selfscan.scans.words import Box, Member, WordOrigin, Words, WordsHeader

_TEXTS = ("", "..", "../scan-1", "/etc/passwd", "a\0b", "scan-1", "%s", "{{7*7}}", "ct", None)
_WHOLE = (0, 1, -1, 7, 127, -128, 2**31 - 1, -(2**31), 2**40, 2**63 - 1, None)
_REAL = (0.0, -1.0, 1e308, -1e308, 5e-324, float("nan"), float("inf"), float("-inf"), None)


def store(work: Path, data: Path | None) -> list[Seed]:
    out = work / "store"
    contract = PreprocessingContract()
    settings = Settings(contract, "nearest", (), None, "salt")
    records = []
    for number in range(2):
        scan = Scan(voxels()[None] + number, np.eye(4), modality=("ct",), subject=str(number))
        labels = Scan((voxels()[None] > 0).astype(np.uint8), np.eye(4))
        source = Source(f"scan-{number}", (Path("a.nii"),), split="train")
        prepared = contract.apply(scan, labels)
        records.append(store_scan(source.name, scan, prepared, out, settings, source))
    (out / "contract.json").write_text(json.dumps(contract.to_json()))
    write_index(out, records, [Unusable(Path("x.nii"), "found nothing")], {0: "air", 1: "organ"})
    Seen.of(Store(out)).write(out)
    box = Box((0, 0, 0), (4, 4, 4))
    digest = records[0].volume_digest
    header = WordsHeader(
        (4, 4, 4), "voxel", None, contract.digest(), "", (WordOrigin("scan-0", (0, 0, 0)),)
    )
    Words(header, (Member(0, "training", "scan-0", digest, 0, 0.0, box, (box, box)),)).write(out)
    files = {str(f.relative_to(out)): f.read_bytes() for f in sorted(out.rglob("*")) if f.is_file()}
    index = ("scans.parquet",) * 6
    changed = tuple(name for name in files if "scan-1" not in name and "rejected" not in name)
    return [Seed(files, (*index, *changed))]


def index(work: Path, data: Path | None) -> list[Seed]:
    """The same, of which the index alone is changed."""
    (seed,) = store(work, data)
    return [Seed(seed.files, ("scans.parquet", "scans.parquet", "words.parquet", "seen.parquet"))]


def volumes(work: Path, data: Path | None) -> list[Seed]:
    """Volumes of one chunk and of several, of noise and of one value."""
    seeds = []
    for number, shape in enumerate([(1, 6, 5, 4), (2, 66, 5, 4), (70, 66, 3)]):
        for array in (np.random.default_rng(number).integers(-900, 900, shape), np.zeros(shape)):
            write_volume(work / "a.b2nd", array.astype(np.int16 if len(shape) > 3 else np.uint8))
            seeds.append(one("a.b2nd", (work / "a.b2nd").read_bytes()))
    return seeds


def with_changed_cells(content: bytes, draw: random.Random) -> bytes:
    """A table of which one to four cells hold what a reader does not expect."""
    table = pq.read_table(io.BytesIO(content))
    for _ in range(draw.choice((1, 1, 2, 4))):
        at, row = draw.randrange(table.num_columns), draw.randrange(max(1, table.num_rows))
        cells = table.column(at).to_pylist()
        if cells:
            cells[row] = _changed(cells[row], table.schema.field(at).type, draw)
        field = table.schema.field(at)
        try:
            table = table.set_column(at, field, [pa.array(cells, field.type)])
        except (pa.ArrowException, OverflowError):
            continue  # what the type cannot hold
    written = io.BytesIO()
    pq.write_table(table, written)
    return written.getvalue() if draw.random() < 0.9 else mutated(written.getvalue(), draw)


def _changed(value: Any, kind: pa.DataType, draw: random.Random) -> Any:
    if isinstance(value, list):
        if value and draw.random() < 0.7:
            at = draw.randrange(len(value))
            return [*value[:at], _changed(value[at], kind.value_type, draw), *value[at + 1 :]]
        return draw.choice(([], value * 2, value[:-1], None))
    if pa.types.is_string(kind):
        return draw.choice(_TEXTS)
    return draw.choice(_REAL if pa.types.is_floating(kind) else _WHOLE)


def read_store(folder: Path, name: str) -> object:
    if name == "words.parquet":
        return Words.read(folder)
    if name == "seen.parquet":
        seen = Seen.read(folder)
        return seen and seen.leaks(Store(folder))
    store = Store(folder)
    some = store.select(splits=["train"])
    some.digest()
    Seen.of(some)
    for i, record in enumerate(some):
        store.read(i)
        store.read(i, (-2, 1, 1), (4, 4, 4))
        store.read_foreground(i)
        if record.labelled:
            store.read_labels(i)
    return store.patients, store.foreground_boxes, store.channels


def read_volume(folder: Path, name: str) -> object:
    files = VolumeFiles()
    files.read(folder / name, (-1, 60, 1), (4, 8, 4), 0)
    return files.read(folder / name, None, None, 0)
