import pytest

from selfscan.errors import ScanError
from selfscan.scans.inputs.contents import first_bytes, is_dicom, is_gzip
from selfscan.scans.limits import require_room


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "empty file of 0 bytes"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "large-file store"),
        (b"/annex/objects/SHA256E-s1--00.nii.gz\n", "large-file store"),
    ],
)
def test_files_without_data_are_refused(tmp_path, content, found):
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(content)
    with pytest.raises(ScanError, match=found):
        first_bytes(path)


def test_dicom_is_known_by_its_mark_or_its_suffix(tmp_path):
    marked, named, other = tmp_path / "IM.0001.2", tmp_path / "a.DCM", tmp_path / "b.txt"
    marked.write_bytes(bytes(128) + b"DICM")
    named.write_bytes(b"x")
    other.write_bytes(bytes(200))
    assert [is_dicom(path) for path in (marked, named, other, tmp_path)] == [
        True,
        True,
        False,
        False,
    ]


def test_gzip_is_known_by_its_mark():
    assert is_gzip(b"\x1f\x8b\x08")
    assert not is_gzip(b"\x5c\x01\x00\x00")


def test_room_is_the_size_on_disk_or_what_deflate_can_make_of_it(tmp_path):
    require_room(tmp_path, needed=100, held=100, compressed=False)
    require_room(tmp_path, needed=103_200, held=100, compressed=True)
    with pytest.raises(ScanError, match="100 bytes that hold at most 100"):
        require_room(tmp_path, needed=101, held=100, compressed=False)
    with pytest.raises(ScanError, match="at most 103,200"):
        require_room(tmp_path, needed=103_201, held=100, compressed=True)
