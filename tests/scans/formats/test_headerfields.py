"""Headers on which the libraries that read them crash, and those that their writers write."""

from __future__ import annotations

from pathlib import Path

import pytest

from selfscan.errors import ScanError
from selfscan.scans.formats.headerfields import require_sane
from selfscan.scans.formats.textheader import read_text_header

NRRD = """NRRD0004
# a comment: of three words
type: short
dimension: 3
space: left-posterior-superior
sizes: 4 5 6
space directions: (1.5,0,0) (0,2,0) (0,0,2.5)
kinds: domain domain domain
labels: "x" "y" "of \\"z\\""
endian: little
encoding: raw
space origin: (0,-1e-3,1)
measurement frame: (1,0,0) (0,1,0) (0,0,1)
name:=anything: (at all"""
META = """ObjectType = Image
NDims = 3
BinaryData = True
TransformMatrix = 1 0 0 0 1 0 0 0 1
Offset = 0 -1.5 0
CenterOfRotation = 0 0 0
AnatomicalOrientation = RAI
ElementSpacing: 1.5 2 2.5
DimSize = 4 5 6
Comment = anything (at all
ElementType = MET_SHORT"""


def wrong(text: str, *, nrrd: bool) -> str:
    with pytest.raises(ScanError, match="numbers that measure a scan") as caught:
        require_sane(Path("a"), text.split("\n"), nrrd=nrrd)
    return caught.value.found


def test_what_writers_write_is_sane() -> None:
    require_sane(Path("a"), NRRD.split("\n"), nrrd=True)
    require_sane(Path("a"), META.split("\n"), nrrd=False)
    channels = NRRD.replace("dimension: 3", "dimension: 4").replace("sizes: 4", "sizes: 2 4")
    channels = channels.replace("directions: ", "directions: none ").replace(
        "kinds:", "kinds: list"
    )
    require_sane(Path("a"), channels.split("\n"), nrrd=True)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("dimension: 3", "dimension: -1"),
        ("dimension: 3", "dimension: 17"),
        ("dimension: 3", "dimension: 3\ndimension: 2"),
        ("dimension: 3\n", ""),
        ("sizes: 4 5 6", "sizes: 4 5"),
        ("sizes: 4 5 6", "Sizes : 4 5 6 7"),
        ("sizes: 4 5 6", "sizes: 4 5 1e308"),
        ("sizes: 4 5 6", "kind: x\rsizes: 4 5 1e308"),
        ("(0,2,0) (0,0,2.5)", "(0,2,0)" + " (0,0,2.5)" * 20),
        ("(0,2,0) (0,0,2.5)", "(0,2,0) (0,0,2.5"),
        ("(0,-1e-3,1)", "(0" + ",1" * 200 + ")"),
        ("(0,-1e-3,1)", "( -589 -823 770 744 231"),
        ("(0,-1e-3,1)", "(0,0,0) (0,0,0)"),
        ("kinds: domain", "kinds: domainomai. de directions\xff\xff(1.5,0,0)"),
        ("kinds: domain", f"kinds: {'domain' * 20}"),
        ('"x" "y"', '"x" "y'),
        ('"x" "y"', '"x" ' * 20),
    ],
)
def test_what_no_writer_of_nrrd_writes_is_refused(before: str, after: str) -> None:
    assert before in NRRD
    wrong(NRRD.replace(before, after), nrrd=True)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("NDims = 3", "NDims = -1"),
        ("NDims = 3", "NDims = 3 3"),
        ("NDims = 3", "NDims = 2\nNDims = 3"),
        ("DimSize = 4 5 6", "DimSize = 4 5"),
        ("DimSize = 4 5 6", "DimSize : 4 5 6 6"),
        ("Offset = 0 -1.5 0", "Offset = nan 0 0"),
        ("0 0 0 1 0 0 0 1", "0 0 0 1 0 0 0"),
        ("ElementSpacing: 1.5", "ElementSpacing: 1e-320"),
    ],
)
def test_what_no_writer_of_metaimage_writes_is_refused(before: str, after: str) -> None:
    assert before in META
    wrong(META.replace(before, after), nrrd=False)


def test_fields_behind_the_name_of_the_data_are_looked_at_too(tmp_path: Path) -> None:
    lines = NRRD.replace("encoding: raw\n", "").replace("type: short", "data file: a.raw.gz")
    path = tmp_path / "a.nhdr"
    path.write_text(lines + "\nencoding: gzip\n")
    assert read_text_header(path).packing == "gzip"
    path.write_text(lines.replace("(0,-1e-3,1)", "(0" + ",1" * 200 + ")"))
    with pytest.raises(ScanError, match="as spaceorigin"):
        read_text_header(path)
    path.write_text(lines + "\ndatafile: b.raw\n")
    with pytest.raises(ScanError, match="names its data twice"):
        read_text_header(path)


def test_a_header_without_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.nrrd").write_text(NRRD + "\na:=b" * 400_000)
    with pytest.raises(ScanError, match="does not end in"):
        read_text_header(tmp_path / "a.nrrd")
