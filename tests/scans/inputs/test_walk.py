import errno
import os
from pathlib import Path

import pytest

from selfscan.scans.find import find
from selfscan.scans.inputs.pairs import with_labels
from selfscan.scans.inputs.sources import Found
from selfscan.scans.inputs.walk import case_name, walk


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"content")
    return folder


def dicom(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(bytes(128) + b"DICM")


def test_suffixes_in_any_case_and_nothing_else(tmp_path):
    scans = ["a.NII.GZ", "b.nii", "c.Nrrd", "d.nhdr", "e.mha", "f.mhd"]
    touch(tmp_path, *scans, "f.raw", "g.json", "h.txt", "i.csv", "j.py", "k.md", "l", "m.png")
    found = walk(tmp_path)
    assert [source.images[0].name for source in found.sources] == scans
    assert [source.name for source in found.sources] == list("abcdef")
    assert found.unusable == []


def test_hidden_files_and_folders_are_passed_over(tmp_path):
    touch(tmp_path, "._a.nii.gz", ".cache/b.nii.gz", "c.nii.gz")
    assert [source.name for source in walk(tmp_path).sources] == ["c"]


@pytest.mark.parametrize("suffix", [".mnc", ".mgz", ".npy", ".img", ".hdr"])
def test_foreign_volumes_are_unusable(tmp_path, suffix):
    touch(tmp_path, f"scan{suffix}")
    (wrong,) = walk(tmp_path).unusable
    assert repr(suffix) in wrong.reason
    assert ".nii.gz" in wrong.reason


@pytest.mark.parametrize("name", ["label", "case_seg", "case-label", "Mask", "a.labels", "b_masks"])
def test_label_maps_are_no_images(tmp_path, name):
    touch(tmp_path, f"{name}.nii.gz")
    (wrong,) = walk(tmp_path).unusable
    assert "says it is a label map" in wrong.reason


@pytest.mark.parametrize("name", ["unmasked", "segovia", "label_free_1", "damask"])
def test_words_that_only_contain_such_a_name_are_images(tmp_path, name):
    touch(tmp_path, f"{name}.nii.gz")
    assert [source.name for source in walk(tmp_path).sources] == [name]


def test_dicom_is_found_by_content_and_its_folder_is_not_named(tmp_path):
    dicom(tmp_path / "Doe^Jane" / "series", "CT.1.2.840.1", "CT.1.2.840.2")
    touch(tmp_path / "Doe^Jane", "series/Thumbs.db")
    (source,) = walk(tmp_path).sources
    assert source.kind == "dicom"
    assert source.images == (tmp_path / "Doe^Jane" / "series",)
    assert source.name.startswith("dicom-")
    assert len(source.name) == 16


def test_the_name_of_a_series_stays_when_the_root_moves(tmp_path):
    for root in ("before", "after"):
        dicom(tmp_path / root / "patient" / "series", "1.dcm")
    (before,), (after,) = (walk(tmp_path / root).sources for root in ("before", "after"))
    assert before.name == after.name


def test_links_are_followed_and_loops_end(tmp_path):
    root = touch(tmp_path / "root", "a/x.nii")
    touch(tmp_path / "far", "y.nii")
    (root / "far").symlink_to(tmp_path / "far")
    (root / "a" / "loop").symlink_to(root)
    assert [source.name for source in walk(root).sources] == ["a__x", "far__y"]


@pytest.mark.parametrize("kind", ["plain", "listed", "labels"])
def test_a_folder_that_cannot_be_listed_is_named(tmp_path, monkeypatch, kind):
    closed = tmp_path / "scans" / "closed"
    closed.mkdir(parents=True)
    (tmp_path / "scans" / "a.nii.gz").touch()
    list_folder = os.scandir

    def scandir(path):
        if Path(path) == closed:
            raise PermissionError(errno.EACCES, "Permission denied", str(closed))
        return list_folder(path)

    if kind == "listed":
        (tmp_path / "scans" / "dataset.json").write_text('{"training": [{"image": "a.nii.gz"}]}')
    monkeypatch.setattr(os, "scandir", scandir)
    if kind == "labels":
        found = with_labels(Found(), [], tmp_path / "scans")
    else:
        found = find([tmp_path / "scans"])
        assert [source.images[0].name for source in found.sources] == ["a.nii.gz"]
    reasons = [item.reason for item in found.unusable if item.path == closed]
    assert len(reasons) == 1
    assert "cannot be listed (Permission denied); expected" in reasons[0]


def test_folders_can_be_left_out(tmp_path):
    touch(tmp_path, "a.nii", "maps/a.nii", "maps/deep/b.nii")
    assert [source.name for source in walk(tmp_path, but=[tmp_path / "maps"]).sources] == ["a"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a.nii.gz", "a"),
        ("p1/t1.nii", "p1__t1"),
        ("imagesTr/a.nii.gz", "a"),
        ("images/p1/a.nii.gz", "p1__a"),
        ("imagesque/a.nii", "imagesque__a"),
    ],
)
def test_names_of_cases(path, name):
    assert case_name(Path(path)) == name
