"""Pipes, sockets and devices where files should be: refused by name, and never opened."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from selfscan.errors import ScanError
from selfscan.scans.find import find
from selfscan.scans.inputs.datalist import read_splits
from selfscan.scans.read import read, read_labels

pytestmark = pytest.mark.timeout(60)
NAMES = ("a.nii.gz", "a.nii", "a.nrrd", "a.mha", "a.dcm", "a.npy", "a", "dataset.json", "a_seg.nii")


def pipe(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)
    return path


@pytest.mark.parametrize("name", NAMES)
def test_a_pipe_in_a_folder_is_named(name: str, tmp_path: Path) -> None:
    pipe(tmp_path / "deep" / name)
    found = find([tmp_path])
    assert not found.sources
    assert [(item.path.name, "found a named pipe" in item.reason) for item in found.unusable] == [
        (name, True)
    ]


def test_a_socket_and_a_device_in_a_folder_are_named(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)  # the address of a socket may have a hundred characters
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("a.nii")
    (tmp_path / "b.nii").symlink_to("/dev/zero")
    reasons = [item.reason for item in find([tmp_path]).unusable]
    assert ["a socket" in reasons[0], "a device" in reasons[1]] == [True, True]


def test_a_pipe_that_is_given_itself_is_named(tmp_path: Path) -> None:
    for name in ("a.nii.gz", "a.nrrd", "a.mha", "a.dcm", "a"):
        path = pipe(tmp_path / name)
        for reader in (read, read_labels):
            with pytest.raises(ScanError, match=r"found a named pipe|no readable DICOM"):
                reader(path)
    splits = pipe(tmp_path / "splits.json")
    with pytest.raises(ScanError, match=r"splits.json: found a named pipe"):
        read_splits(splits)
    with pytest.raises(ScanError, match=r"splits.json: found a named pipe"):
        find([splits])


def test_a_pipe_of_voxels_beside_a_header_is_named(tmp_path: Path) -> None:
    pipe(tmp_path / "a.raw")
    header = "NDims = 3\nDimSize = 4 4 4\nElementType = MET_SHORT\nElementDataFile = a.raw\n"
    (tmp_path / "a.mhd").write_text(header)
    with pytest.raises(ScanError, match=r"no data file a\.raw"):
        read(tmp_path / "a.mhd")


def test_a_data_set_with_pipes_for_images_and_labels_is_told(tmp_path: Path) -> None:
    pipe(tmp_path / "imagesTr" / "p_0000.nii.gz")
    pipe(tmp_path / "labelsTr" / "p.nii.gz")
    for source in find([tmp_path]).sources:
        with pytest.raises(ScanError, match="found a named pipe"):
            read(source.images)


def test_lists_within_lists_without_end_are_no_json(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[" * 200_000)
    with pytest.raises(ScanError, match="no JSON"):
        find([tmp_path / "a.json"])
