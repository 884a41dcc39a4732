import pytest

from selfscan.errors import ScanError
from selfscan.scans.formats.textheader import read_text_header


def header(tmp_path, text):
    path = tmp_path / "scan.header"
    path.write_text(text)
    return read_text_header(path)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("ObjectType = Image\nNDims = 3\nElementDataFile = LOCAL\n", []),
        ("ObjectType = Image\nNDims = 3\nElementDataFile = my scan.raw\n", ["my scan.raw"]),
        ("NDims = 3\nElementDataFile = LIST\na.raw\nb.raw\n", ["a.raw", "b.raw"]),
        ("NDims = 3\nElementDataFile = s%02d.raw 1 5 2\n", ["s01.raw", "s03.raw", "s05.raw"]),
        ("NRRD0004\ndimension: 3\ntype: short\n\n", []),
        ("NRRD0004\ndimension: 3\ntype: short\ndata file: a.raw.gz\n", ["a.raw.gz"]),
        ("NRRD0004\ndimension: 3\ntype: short\ndatafile: LIST\na.raw\nb.raw\n", ["a.raw", "b.raw"]),
    ],
)
def test_data_files_lie_beside_the_header(tmp_path, text, names):
    assert header(tmp_path, text).data == tuple(tmp_path / name for name in names)


@pytest.mark.parametrize(
    ("text", "packing"),
    [
        ("NRRD0004\ndimension: 3\nencoding: raw\n\n", "raw"),
        ("NRRD0004\ndimension: 3\nencoding: gzip\n\n", "gzip"),
        ("NRRD0004\ndimension: 3\nencoding: ascii\n\n", "other"),
        ("NDims = 3\nCompressedData = True\nElementDataFile = LOCAL\n", "zlib"),
        ("NDims = 3\nBinaryData = False\nElementDataFile = LOCAL\n", "other"),
        ("NDims = 3\nBinaryData = True\nElementDataFile = LOCAL\n", "raw"),
    ],
)
def test_packing(tmp_path, text, packing):
    assert header(tmp_path, text).packing == packing


def test_voxels_start_where_the_header_ends(tmp_path):
    text = "NDims = 3\nElementDataFile = LOCAL\n"
    assert header(tmp_path, text + "voxels\nvoxels").start == len(text)


@pytest.mark.parametrize(
    ("space", "anatomical"),
    [("left-posterior-superior", True), ("RAS", True), ("3D-left-handed", False)],
)
def test_axes_of_the_patient(tmp_path, space, anatomical):
    assert header(tmp_path, f"NRRD0004\ndimension: 3\nspace: {space}\n\n").anatomical is anatomical


def test_another_file_is_refused(tmp_path):
    with pytest.raises(ScanError, match="NRRD or MetaImage"):
        header(tmp_path, "something else\n")
