import gzip

import nibabel
import numpy as np
import pytest

from selfscan.errors import ScanError
from selfscan.scans.formats.nifti import read_nifti

VOXELS = np.arange(60, dtype=np.int16).reshape(3, 4, 5)


def save(path, voxels=VOXELS, *, kind=nibabel.Nifti1Image, **fields):
    """A file with sform identity, whose header fields are then overwritten unchecked."""
    image = kind(voxels, np.eye(4))
    image.header["sform_code"], image.header["qform_code"] = 1, 0
    data = bytearray(image.to_bytes())
    header = kind.header_class(bytes(data[: kind.header_class.sizeof_hdr]), check=False)
    for name, value in {"qform_code": 0, **fields}.items():
        header[name] = value
    data[: kind.header_class.sizeof_hdr] = header.binaryblock
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("packed", [False, True])
def test_both_versions_plain_and_packed_whatever_the_suffix(tmp_path, kind, packed):
    path = save(tmp_path / "scan.nii", kind=kind)
    if packed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    scan = read_nifti(path)
    np.testing.assert_array_equal(scan.voxels[0], VOXELS)
    assert scan.voxels.flags.writeable
    assert scan.warnings == ()


@pytest.mark.parametrize(
    ("slope", "intercept", "expected"),
    [(0.5, -100.0, 0.5 * VOXELS - 100.0), (0.0, 7.0, VOXELS), (np.nan, np.nan, VOXELS)],
)
def test_values_are_slope_times_stored_plus_intercept(tmp_path, slope, intercept, expected):
    path = save(tmp_path / "scan.nii", scl_slope=slope, scl_inter=intercept)
    np.testing.assert_array_equal(read_nifti(path).voxels[0], expected)


def test_integers_stay_integers_and_doubles_become_single(tmp_path):
    assert read_nifti(save(tmp_path / "a.nii")).voxels.dtype == np.int16
    doubles = save(tmp_path / "b.nii", VOXELS.astype(np.float64))
    assert read_nifti(doubles).voxels.dtype == np.float32


@pytest.mark.parametrize(
    ("shape", "found"),
    [
        ((3, 4, 5, 2), "2 volumes"),
        ((3, 4, 5, 1, 3), "3 volumes"),
        ((3, 4, 5, 2, 3), "6 volumes"),
    ],
)
def test_several_volumes_are_refused_with_their_number(tmp_path, shape, found):
    with pytest.raises(ScanError, match=found):
        read_nifti(save(tmp_path / "scan.nii", np.zeros(shape, dtype=np.int16)))


def test_trailing_axes_of_one_voxel_are_dropped(tmp_path):
    path = save(tmp_path / "scan.nii", VOXELS.reshape(3, 4, 5, 1, 1))
    np.testing.assert_array_equal(read_nifti(path).voxels[0], VOXELS)


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        (np.complex64, "complex"),
        (np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]), "RGB"),
    ],
)
def test_voxels_that_are_no_real_numbers_are_refused(tmp_path, kind, found):
    with pytest.raises(ScanError, match=found):
        read_nifti(save(tmp_path / "scan.nii", np.zeros((3, 4, 5), dtype=kind)))


def test_unknown_type_and_bad_dimensions_are_refused(tmp_path):
    with pytest.raises(ScanError, match="unknown type 77"):
        read_nifti(save(tmp_path / "a.nii", datatype=77))
    with pytest.raises(ScanError, match="dimensions"):
        read_nifti(save(tmp_path / "b.nii", dim=[3, 4, -5, 6, 1, 1, 1, 1]))
    with pytest.raises(ScanError, match="start at byte nan"):
        read_nifti(save(tmp_path / "c.nii", vox_offset=np.nan))


@pytest.mark.parametrize("packed", [False, True])
def test_a_header_that_claims_too_much_is_refused_before_memory_is_taken(tmp_path, packed):
    path = save(tmp_path / "scan.nii", dim=[3, 30_000, 30_000, 30_000, 1, 1, 1, 1])
    if packed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(ScanError, match=r"27,000,000,000,000 voxels"):
        read_nifti(path)


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda data: data[: len(data) // 2], "cannot be read to its end"),
        (lambda data: data[:-8] + b"12345678", "cannot be read to its end"),
        (lambda data: gzip.compress(gzip.decompress(data)[:-40]), "80 bytes of voxels"),
    ],
)
def test_damaged_gzip_is_refused(tmp_path, damage, found):
    path = save(tmp_path / "scan.nii.gz")
    path.write_bytes(damage(gzip.compress(path.read_bytes())))
    with pytest.raises(ScanError, match=found):
        read_nifti(path)


def test_a_pair_of_files_and_a_stranger_are_refused(tmp_path):
    with pytest.raises(ScanError, match="another file"):
        read_nifti(save(tmp_path / "pair.nii", magic=b"ni1\0"))
    (tmp_path / "text.nii").write_text("not an image" * 100)
    with pytest.raises(ScanError, match="without the NIfTI mark"):
        read_nifti(tmp_path / "text.nii")
