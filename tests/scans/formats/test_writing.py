from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

from selfscan.scans.formats.writing import write_displacements, write_nifti


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.int64, np.float32, ">i2"])
def test_voxels_and_place_come_back(tmp_path: Path, random, kind) -> None:
    affine = np.diag([-0.8, 1.1, 2.5, 1])
    affine[:3, 3] = 4, -5, 6
    volume = random.integers(0, 200, (4, 5, 6)).astype(kind)
    write_nifti(tmp_path / "a.nii.gz", volume, affine)
    image = nibabel.load(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(np.asarray(image.dataobj), volume)
    assert image.get_data_dtype() == np.dtype(kind).newbyteorder("=")
    np.testing.assert_allclose(image.get_sform(coded=True)[0], affine, atol=1e-6)
    np.testing.assert_allclose(image.get_qform(coded=True)[0], affine, atol=1e-6)
    assert image.header.get_xyzt_units()[0] == "mm"


def test_a_sheared_grid_has_no_qform(tmp_path: Path) -> None:
    affine = np.eye(4)
    affine[0, 2] = 0.3
    write_nifti(tmp_path / "a.nii.gz", np.ones((4, 5, 6), np.uint8), affine)
    image = nibabel.load(tmp_path / "a.nii.gz")
    np.testing.assert_allclose(image.affine, affine, atol=1e-6)
    assert int(image.header["qform_code"]) == 0


def test_displacements_are_a_vector_image_in_lps(tmp_path: Path, random) -> None:
    affine = np.diag([1.0, 2, 3, 1])
    displacements = random.normal(size=(4, 5, 6, 3)).astype(np.float32)
    write_displacements(tmp_path / "d.nii.gz", displacements, affine)
    header = nibabel.load(tmp_path / "d.nii.gz").header
    assert header["dim"].tolist() == [5, 4, 5, 6, 1, 3, 1, 1]
    assert int(header["intent_code"]) == 1007
    image = SimpleITK.ReadImage(str(tmp_path / "d.nii.gz"))
    assert image.GetPixelIDTypeAsString() == "vector of 32-bit float"
    lps = SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0, 3)
    np.testing.assert_array_equal(lps, displacements * [-1, -1, 1])


ITK = tuple(map(int, SimpleITK.Version.ITKVersionString().split(".")[:2]))


@pytest.mark.skipif(ITK < (5, 4), reason="older versions take both intents as they are")
def test_itk_turns_the_signs_of_the_other_intent(tmp_path: Path, random) -> None:
    """Why displacements are written as vectors (1007), not as displacement vectors (1006)."""
    displacements = random.normal(size=(4, 5, 6, 3)).astype(np.float32)
    write_displacements(tmp_path / "d.nii.gz", displacements, np.eye(4))
    image = nibabel.load(tmp_path / "d.nii.gz")
    image.header["intent_code"] = 1006
    nibabel.save(image, tmp_path / "other.nii.gz")
    found = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / "other.nii.gz")))
    np.testing.assert_array_equal(found.transpose(2, 1, 0, 3), displacements)
