from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from selfscan.scans.contract import PreprocessingContract
from selfscan.scans.inputs.sources import Source, Unusable
from selfscan.scans.preparation.notes import Note, Settings, is_done, note_path, stamp_of

SETTINGS = Settings(PreprocessingContract(), "nearest", (), None, "salt")


@pytest.fixture
def source(tmp_path: Path) -> Source:
    (tmp_path / "scan.nii").write_bytes(b"voxels")
    return Source("scan", (tmp_path / "scan.nii",))


def test_a_stamp_changes_with_files_and_settings(source: Source, tmp_path: Path) -> None:
    stamps = [stamp_of(SETTINGS, source)]
    assert stamp_of(SETTINGS, source) == stamps[0]
    spaced = PreprocessingContract(spacing=(1.0, 1.0, 1.0))
    stamps.append(stamp_of(replace(SETTINGS, contract=spaced), source))
    stamps.append(stamp_of(replace(SETTINGS, modality="ct"), source))
    stamps.append(stamp_of(replace(SETTINGS, label_values=(1, 2)), source))
    labels = tmp_path / "labels.nii"
    labels.write_bytes(b"labels")
    stamps.append(stamp_of(SETTINGS, replace(source, labels=labels)))
    os.utime(source.images[0], ns=(0, 123))
    stamps.append(stamp_of(SETTINGS, source))
    source.images[0].write_bytes(b"other voxels")
    stamps.append(stamp_of(SETTINGS, source))
    assert len(set(stamps)) == len(stamps)
    assert stamp_of(SETTINGS, replace(source, split="test")) == stamps[-1]


def test_a_folder_is_stamped_by_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "series"
    folder.mkdir()
    (folder / "1.dcm").write_bytes(b"one")
    series = Source("series", (folder,), kind="dicom")
    before = stamp_of(SETTINGS, series)
    (folder / "2.dcm").write_bytes(b"two")
    assert stamp_of(SETTINGS, series) != before


def test_notes_tell_no_paths_and_match_only_when_complete(source: Source, tmp_path: Path) -> None:
    path = note_path(tmp_path, SETTINGS, source)
    assert "scan" not in path.name
    Note("stamp", ()).write(path)
    assert is_done(Note.read(path), tmp_path, "stamp")
    assert not is_done(Note.read(path), tmp_path, "other")
    Note("stamp", (), unusable=(Unusable(Path("/home/patient.nii"), "found nothing"),)).write(path)
    assert not is_done(Note.read(path), tmp_path, "stamp")
    assert "patient" not in path.read_text()
