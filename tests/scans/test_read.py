import nibabel
import numpy as np
import pytest

from selfscan.errors import ScanError
from selfscan.scans.read import read, read_labels


def save(path, voxels, affine=None):
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4) if affine is None else affine), path)
    return path


def ramp(*shape, dtype=np.int16):
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


@pytest.mark.slow
def test_nifti_agrees_with_nibabel_wherever_both_read(data_folder):
    compared = 0
    for path in sorted((data_folder / "ingest").glob("*/*.nii.gz")):
        try:
            scan = read(path)
        except ScanError:
            continue
        if {"no_forms", "nan_inf"} & set(path.name.split(".")):
            continue
        if path.name == "plain_named.nii.gz":
            continue
        image = nibabel.load(path)
        np.testing.assert_allclose(scan.affine, image.affine, atol=1e-5)
        expected = np.squeeze(image.get_fdata(dtype=np.float32))
        np.testing.assert_allclose(scan.voxels[0], expected, rtol=1e-5)
        compared += 1
    assert compared > 20


def test_channels_are_stacked_on_one_grid(tmp_path):
    affine = np.diag([2.0, 2, 3, 1])
    first = save(tmp_path / "a_0000.nii.gz", ramp(4, 5, 6), affine)
    second = save(tmp_path / "a_0001.nii.gz", ramp(4, 5, 6, dtype=np.float32) / 2, affine)
    scan = read([first, second], modality=["pt", None])
    assert scan.voxels.shape == (2, 4, 5, 6)
    assert scan.voxels.dtype == np.float32
    np.testing.assert_array_equal(scan.voxels[0], 2 * scan.voxels[1])
    assert scan.modality == ("pt", None)
    assert scan.source == (first, second)


@pytest.mark.parametrize(
    ("shape", "shift", "found"),
    [((4, 5, 7), 0.0, "shape 4 x 5 x 7"), ((4, 5, 6), 0.5, "0.5 mm off")],
)
def test_channels_of_differing_grids_are_refused_and_both_are_named(tmp_path, shape, shift, found):
    first = save(tmp_path / "first.nii", ramp(4, 5, 6))
    moved = np.eye(4)
    moved[0, 3] = shift
    second = save(tmp_path / "second.nii", ramp(*shape), moved)
    with pytest.raises(ScanError, match="first") as refusal:
        read([first, second])
    assert found in str(refusal.value)
    assert "second" in str(refusal.value)


def test_grids_may_differ_by_rounding(tmp_path):
    nearly = np.eye(4)
    nearly[0, 3] = 0.01
    first, second = tmp_path / "a.nii", tmp_path / "b.nii"
    save(first, ramp(4, 5, 6))
    save(second, ramp(4, 5, 6), nearly)
    np.testing.assert_array_equal(read([first, second]).affine, np.eye(4))


def test_warnings_of_channels_say_which(tmp_path):
    holed = ramp(4, 5, 6, dtype=np.float32)
    holed[0, 0, 0] = np.nan
    first, second = save(tmp_path / "a.nii", ramp(4, 5, 6)), save(tmp_path / "b.nii", holed)
    (warning,) = read([first, second]).warnings
    assert warning.startswith("channel 1: 1 voxels of NaN")


def test_modality_given_goes_before_modality_read(tmp_path):
    path = save(tmp_path / "a.nii", ramp(4, 5, 6))
    assert read(path).modality == (None,)
    assert read(path, "ct").modality == ("ct",)
    with pytest.raises(ValueError, match="2 modalities for 1 channels"):
        read(path, ["ct", "mr"])


@pytest.mark.parametrize(
    ("values", "kind"), [([0, 1, 255], np.uint8), ([0, 300], np.int16), ([0.0, 2.0], np.uint8)]
)
def test_labels_become_small_integers(tmp_path, values, kind):
    voxels = np.resize(np.array(values), (3, 3, 3))
    voxels = voxels.astype(np.float32 if voxels.dtype == np.float64 else np.int32)
    labels = read_labels(save(tmp_path / "labels.nii.gz", voxels))
    assert labels.voxels.dtype == kind
    np.testing.assert_array_equal(labels.voxels[0], voxels)


def test_unknown_suffix_is_refused_with_the_known_ones(tmp_path):
    np.save(tmp_path / "array.npy", ramp(4, 5, 6))
    with pytest.raises(ScanError, match=r"'\.npy'.*\.nii\.gz.*DICOM"):
        read(tmp_path / "array.npy")


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(ScanError, match=r"gone\.nii.*no such file"):
        read(tmp_path / "gone.nii")
    with pytest.raises(ScanError, match="a folder"):
        read_labels(tmp_path)
    with pytest.raises(ScanError, match="no readable DICOM"):
        read(tmp_path)
    with pytest.raises(ValueError, match="at least one path"):
        read([])


def test_a_folder_of_two_series_is_not_one_scan(data_folder):
    with pytest.raises(ScanError, match="2 volumes in one folder"):
        read(data_folder / "ingest" / "dicom" / "mixed_folder")
