from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest
from plain_record import plain_record

from selfscan.scans.contract import PreprocessingContract
from selfscan.scans.index import settle
from selfscan.scans.inputs.sources import Source
from selfscan.scans.preparation.notes import Note, Settings, note_path
from selfscan.scans.record import ScanRecord

SETTINGS = Settings(PreprocessingContract(), "nearest", (), None, "salt")


def record(name: str, *, content: str = "", channels: int = 1) -> ScanRecord:
    return plain_record(
        name,
        modality=("ct",) * channels,
        intensity_slope=(1.0,) * channels,
        intensity_intercept=(0.0,) * channels,
        source_digest=content or name,
        volume_digest=content or name,
    )


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path


def source(name: str, split: str | None = None) -> Source:
    return Source(name, (Path(f"/in/{name}.nii.gz"),), split=split)


def test_the_order_of_notes_changes_nothing(out: Path) -> None:
    records = [record("a"), record("b", content="same"), record("c", content="same")]
    records.append(record("d", channels=2))
    sources = [source(item.id, split=f"split-{item.id}") for item in records]
    notes = [
        (note_path(out, SETTINGS, origin), Note("stamp", (item,)))
        for origin, item in zip(sources, records, strict=True)
    ]
    for order in permutations(notes):
        kept, left_out = settle(dict(order), sources, out, SETTINGS)
        assert [(item.id, item.split) for item in kept] == [("a", "split-a"), ("b", "split-b")]
        assert [item.path.name for item in left_out] == ["c.nii.gz", "d.nii.gz"]
        assert left_out[0].reason == "same content as b"
        assert left_out[1].reason.startswith("found 2 channels; expected 1")


def test_a_copy_of_a_test_case_never_takes_its_place(out: Path) -> None:
    sources = [source("a"), source("b", split="train"), source("c", split="test")]
    notes = {
        note_path(out, SETTINGS, item): Note("stamp", (record(item.name, content="same"),))
        for item in sources
    }
    kept, left_out = settle(notes, sources, out, SETTINGS)
    assert [(item.id, item.split) for item in kept] == [("c", "test")]
    assert [item.reason for item in left_out] == ["same content as c"] * 2


def test_scans_of_earlier_runs_stay_unless_their_name_is_taken(out: Path) -> None:
    now, before, moved = source("a", split="new"), source("b"), Source("a", (Path("/old/a.nii"),))
    notes = {
        note_path(out, SETTINGS, now): Note("stamp", (record("a", content="new"),)),
        note_path(out, SETTINGS, before): Note("stamp", (replace(record("b"), split="old"),)),
        note_path(out, SETTINGS, moved): Note("stamp", (record("a", content="old"),)),
    }
    for path, note in notes.items():
        note.write(path)
    kept, left_out = settle(notes, [now], out, SETTINGS)
    assert [(item.source_digest, item.split) for item in kept] == [("new", "new"), ("b", "old")]
    assert left_out == []
    assert not note_path(out, SETTINGS, moved).exists()
    assert Note.read(note_path(out, SETTINGS, before)).records[0].split == "old"


def test_a_scan_left_out_leaves_the_others_of_its_source(out: Path) -> None:
    pair, other = source("pair"), source("a")
    notes = {
        note_path(out, SETTINGS, other): Note("stamp", (record("a", content="same"),)),
        note_path(out, SETTINGS, pair): Note(
            "stamp", (record("pair-1", content="same"), record("pair-2"))
        ),
    }
    kept, left_out = settle(notes, [pair, other], out, SETTINGS)
    assert [item.id for item in kept] == ["a", "pair-2"]
    assert [item.reason for item in left_out] == ["same content as a"]
    rest = Note.read(note_path(out, SETTINGS, pair))
    assert [item.id for item in rest.records] == ["pair-2"]
    assert rest.stamp == ""


def test_no_notes_give_no_scans(out: Path) -> None:
    assert settle({}, [source("a")], out, SETTINGS) == ([], [])
