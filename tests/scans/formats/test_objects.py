import pytest

from selfscan.scans.formats.objects import holds_slices, object_name, stored_class

ROOT = "1.2.840.10008.5.1.4.1.1."


@pytest.mark.parametrize(
    ("place", "modality", "frames", "holds"),
    [
        ("2", "CT", 1, True),
        ("4.1", "MR", 60, True),
        ("3.1", "US", 60, False),
        ("12.1", "XA", 60, False),
        ("2", "SEG", 1, False),
        ("88.67", "SR", 1, False),
        ("999", "MR", 1, True),
    ],
)
def test_slices_and_frames_with_places_hold_a_volume(place, modality, frames, holds):
    assert holds_slices(ROOT + place, modality, frames) is holds


def test_rare_objects_are_named_by_their_class():
    assert object_name(ROOT + "481.3") == "RT Structure Set"
    assert object_name("1.2.3") == "SOP class 1.2.3"


def test_the_class_is_read_from_the_first_bytes_with_and_without_a_meta_header(
    data_folder, tmp_path
):
    files = data_folder / "ingest" / "dicom" / "single_files"
    assert stored_class(files / "rtstruct.dcm") == ROOT + "481.3"
    assert stored_class(files / "MR_truncated.dcm") == ROOT + "4"
    assert stored_class(files / "no_meta.dcm") == ROOT + "2"
    (tmp_path / "short").write_bytes(bytes(128) + b"DICM")
    assert stored_class(tmp_path / "short") == ""
