import pytest

from selfscan.errors import ScanError
from selfscan.scans.formats.convert import convert_series


def test_output_carries_no_name_of_a_file_or_a_patient(data_folder, tmp_path):
    folder = data_folder / "ingest" / "dicom" / "uneven_gaps"
    # Two of its slices only: the gap itself is refused.
    (volume,) = convert_series(folder, sorted(folder.iterdir())[:2], tmp_path, (64, 64, 2))
    assert volume.name == "v.nii"
    files = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {"v.nii", "000000.dcm", "000001.dcm"}
    assert b"dicom2nifti" not in volume.read_bytes()


def test_uneven_gaps_are_refused(data_folder, tmp_path):
    folder = data_folder / "ingest" / "dicom" / "uneven_gaps"
    with pytest.raises(ScanError, match="uneven gaps"):
        convert_series(folder, sorted(folder.iterdir()), tmp_path, (64, 64, 4))


def test_what_cannot_be_converted_is_refused(tmp_path):
    (tmp_path / "scan.dcm").write_bytes(bytes(128) + b"DICM" + bytes(64))
    with pytest.raises(ScanError, match="damaged"):
        convert_series(tmp_path, [tmp_path / "scan.dcm"], tmp_path, (1, 1, 1))
