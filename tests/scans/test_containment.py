"""Stores that name, or link to, files outside of their folder."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from selfscan.errors import SelfscanError
from selfscan.scans.integrity import require_intact
from selfscan.scans.preparation.notes import Note
from selfscan.scans.prepare import prepare
from selfscan.scans.store import Store


def rewrite(path: Path, column: str, values: list) -> None:
    table = pq.read_table(path)
    at = table.schema.get_field_index(column)
    pq.write_table(table.set_column(at, table.schema.field(at), [values]), path)


@pytest.mark.parametrize("id", ["../scan-1", "/etc/passwd", "..", "", "a/b", "a\0b", None])
def test_an_id_that_leads_out_is_refused_however_it_is_asked_for(
    id: str | None, make_store
) -> None:
    path = make_store([np.zeros((4, 4, 4), np.int16) + n for n in range(2)]).path
    rewrite(path / "scans.parquet", "id", ["scan-0", id])
    for ask in (
        lambda store: store.ids,
        lambda store: store[1],
        list,
        lambda store: store.read(0),
        lambda store: store.find("scan-0"),
        lambda store: store.select(splits=None, ids=["scan-0"]),
        require_intact,
    ):
        with pytest.raises(SelfscanError, match=r"expected a name without slashes|without id"):
            ask(Store(path))


def test_odd_names_without_slashes_are_names(make_store) -> None:
    path = make_store([np.zeros((4, 4, 4), np.int16)]).path
    rewrite(path / "scans.parquet", "id", ["...odd \\ näme.."])
    assert Store(path).ids == ("...odd \\ näme..",)


def pipe(path: Path, elsewhere: Path) -> None:
    os.mkfifo(path)


def link(path: Path, elsewhere: Path) -> None:
    path.symlink_to(elsewhere)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("put", [pipe, link])
@pytest.mark.parametrize(
    "name", ["contract.json", "scans.parquet", "labels.json", "volumes", "volumes/scan-0.b2nd"]
)
def test_links_and_pipes_in_a_store_are_refused_and_never_opened(
    name: str, put: Callable[[Path, Path], None], tmp_path: Path, make_store
) -> None:
    path = make_store([np.zeros((4, 4, 4), np.int16)], labels=[np.ones((4, 4, 4), np.uint8)]).path
    (path / name).rename(tmp_path / "elsewhere")
    put(path / name, tmp_path / "elsewhere")
    with pytest.raises(SelfscanError, match=f"{name}: found a"):
        Store(path).read(0)


def test_absurd_shapes_in_the_index_are_refused(make_store) -> None:
    path = make_store([np.zeros((4, 4, 4), np.int16)]).path
    for shape in ([2**31 - 1] * 3, [0, 4, 4], [-4, -4, 4], [1291, 1291, 1291]):
        rewrite(path / "scans.parquet", "shape", pa.array([shape], pa.list_(pa.int32(), 3)))
        with pytest.raises(SelfscanError, match="in row 0"):
            Store(path).shape(0)


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    voxels = np.random.default_rng(0).integers(-1000, 400, (24, 20, 16)).astype(np.int16)
    (tmp_path / "in").mkdir()
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / "in" / "a.nii.gz")
    prepare(tmp_path / "in", tmp_path / "store", workers=1)
    return tmp_path / "store"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["volumes", "foreground", "labels", "records"])
def test_resuming_deletes_nothing_through_a_link(name: str, tmp_path: Path, prepared: Path) -> None:
    elsewhere = tmp_path / "precious"
    elsewhere.mkdir()
    (elsewhere / ".hidden").write_text("kept")
    (elsewhere / "a.txt").write_text("kept")
    if (prepared / name).exists():
        (prepared / name).rename(tmp_path / "before")
    (prepared / name).symlink_to(elsewhere)
    with pytest.raises(SelfscanError, match=f"{name}: found a link to"):
        prepare(tmp_path / "in", prepared, workers=1, resume=True)
    assert sorted(file.name for file in elsewhere.iterdir()) == [".hidden", "a.txt"]


@pytest.mark.slow
def test_a_note_that_names_a_scan_elsewhere_is_refused(tmp_path: Path, prepared: Path) -> None:
    (note,) = (prepared / "records").glob("*.json")
    fields = json.loads(note.read_text())
    del fields["digest"]  # as earlier versions wrote them
    fields["records"][0]["id"] = "../../precious"
    note.write_text(json.dumps(fields))
    (tmp_path / "precious.b2nd").write_text("kept")
    with pytest.raises(SelfscanError, match="expected a name without slashes"):
        prepare(tmp_path / "in", prepared, workers=1, resume=True)
    assert (tmp_path / "precious.b2nd").read_text() == "kept"
    note.unlink()
    os.mkfifo(note)
    with pytest.raises(SelfscanError, match="found a pipe"):
        Note.read(note)
