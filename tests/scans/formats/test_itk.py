import numpy as np
import pytest
import SimpleITK

from selfscan.errors import ScanError
from selfscan.scans.formats.itk import read_itk

VOXELS = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
# Columns are the axes of X, Y, Z in LPS: a quarter turn about z.
TURN = (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)


def save(path, voxels=VOXELS, *, compressed=False, vector=False):
    image = SimpleITK.GetImageFromArray(voxels.T, isVector=vector)
    if image.GetDimension() == 3:
        image.SetSpacing((0.5, 2.0, 3.0))
        image.SetOrigin((10.0, 20.0, 30.0))
        image.SetDirection(TURN)
    SimpleITK.WriteImage(image, str(path), compressed)
    return path


@pytest.mark.parametrize("suffix", [".nrrd", ".nhdr", ".mha", ".mhd"])
@pytest.mark.parametrize("compressed", [False, True])
def test_voxels_and_the_place_of_each_in_ras(tmp_path, suffix, compressed):
    scan = read_itk(save(tmp_path / f"scan{suffix}", compressed=compressed))
    np.testing.assert_array_equal(scan.voxels[0], VOXELS)
    # Voxel (2, 3, 1) in LPS: (10 - 3 x 2, 20 + 2 x 0.5, 30 + 3); RAS negates the first two.
    np.testing.assert_allclose(scan.affine @ [2, 3, 1, 1], [-4, -21, 33, 1])
    assert scan.warnings == ()
    assert len(scan.source) == (2 if suffix in (".nhdr", ".mhd") else 1)


def test_doubles_become_single(tmp_path):
    assert read_itk(save(tmp_path / "a.mha", VOXELS.astype(float))).voxels.dtype == np.float32


@pytest.mark.parametrize("suffix", [".nhdr", ".mhd"])
def test_a_lost_data_file_is_named(tmp_path, suffix):
    path = save(tmp_path / f"scan{suffix}")
    (data,) = (file for file in tmp_path.iterdir() if file != path)
    data.unlink()
    with pytest.raises(ScanError, match="no data file beside it"):
        read_itk(path)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_a_short_file_is_refused(tmp_path, suffix):
    path = save(tmp_path / f"scan{suffix}", np.zeros((30, 40, 50), dtype=np.int16))
    path.write_bytes(path.read_bytes()[:-20_000])
    with pytest.raises(ScanError, match="120,000 bytes its header claims"):
        read_itk(path)


def cut(data):
    return data[:-5_000]


def flipped(data):
    return data[:9_000] + bytes([data[9_000] ^ 0x55]) + data[9_001:]


@pytest.mark.parametrize("suffix", [".nrrd", ".nhdr", ".mha", ".mhd"])
@pytest.mark.parametrize("damage", [cut, flipped])
def test_damaged_compressed_voxels_are_refused(tmp_path, suffix, damage):
    noise = np.random.default_rng(0).integers(0, 9999, (20, 20, 20)).astype(np.int16)
    path = save(tmp_path / f"scan{suffix}", noise, compressed=True)
    data = max(tmp_path.iterdir(), key=lambda file: file.stat().st_size)
    data.write_bytes(damage(data.read_bytes()))
    with pytest.raises(ScanError, match="cannot be decoded"):
        read_itk(path)


def test_several_volumes_and_several_components_are_refused(tmp_path):
    with pytest.raises(ScanError, match="2 volumes"):
        read_itk(save(tmp_path / "a.nrrd", np.zeros((3, 4, 5, 2), dtype=np.int16)))
    colors = np.zeros((3, 3, 4, 5), dtype=np.uint8)
    with pytest.raises(ScanError, match="3 components a voxel"):
        read_itk(save(tmp_path / "b.nrrd", colors, vector=True))
    with pytest.raises(ScanError, match="a flat image"):
        read_itk(save(tmp_path / "c.mha", np.zeros((3, 4), dtype=np.int16)))


def test_a_fourth_axis_of_one_is_dropped(tmp_path):
    path = save(tmp_path / "scan.nrrd", VOXELS[..., None])
    np.testing.assert_array_equal(read_itk(path).voxels[0], VOXELS)


def test_axes_without_a_patient_are_told(tmp_path):
    path = tmp_path / "scan.nrrd"
    header = "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 2 2 2\nspacings: 1 1 2\nencoding: raw\n\n"
    path.write_bytes(header.encode() + bytes(range(8)))
    scan = read_itk(path)
    assert "no patient axes" in scan.warnings[0]
    np.testing.assert_array_equal(scan.affine, np.diag([-1, -1, 2, 1]))
