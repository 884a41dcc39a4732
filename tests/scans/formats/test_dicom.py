import random
import shutil
import tempfile
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

from selfscan.errors import ScanError
from selfscan.scans.formats import dicom
from selfscan.scans.formats.convert import convert_series
from selfscan.scans.formats.dicom import read_every_series, read_series

LOCALIZER = "ORIGINAL\\PRIMARY\\LOCALIZER"


def write_series(folder, positions, *, uid="1.2.3", modality="CT", **tags):
    """Slices (6, 5) of 2 x 3 mm whose values are 100 x position + x, named in random order."""
    folder.mkdir(exist_ok=True)
    names = random.Random(0).sample(range(100, 1000), len(positions))
    for name, z in zip(names, positions, strict=True):
        pixels = np.tile(np.arange(6, dtype=np.int16), (5, 1)) + np.int16(100 * z)
        image = SimpleITK.GetImageFromArray(pixels[None])
        image.SetSpacing((2, 3, 1))
        fields = {
            "0008|0016": "1.2.840.10008.5.1.4.1.1.2",
            "0008|0020": "20200101",
            "0008|0030": "120000",
            "0008|0060": modality,
            "0010|0010": "Doe^Jane",
            "0010|0020": "KEY-7",
            "0020|000d": "1.2",
            "0020|000e": uid,
            "0020|0032": f"1\\2\\{z}",
            "0020|0037": "1\\0\\0\\0\\1\\0",
        }
        for tag, value in {**fields, **tags}.items():
            image.SetMetaData(tag, value)
        writer = SimpleITK.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        writer.SetFileName(str(folder / f"{uid}-{name}.dcm"))
        writer.Execute(image)
    return folder


def value_at(scan, point_mm):
    x, y, z = np.rint(np.linalg.inv(scan.affine) @ [*point_mm, 1])[:3].astype(int)
    return int(scan.voxels[0, x, y, z])


def test_slices_are_ordered_by_position_and_placed_in_ras(tmp_path):
    (scan,) = read_series(write_series(tmp_path / "series", [0, 4, 8, 12]))
    assert scan.shape == (6, 5, 4)
    np.testing.assert_allclose(np.linalg.norm(scan.affine[:3, :3], axis=0), [2, 3, 4])
    # DICOM is LPS: the slice at z = 8, pixel x = 3 lies at (1 + 3 x 2, 2, 8), in RAS (-7, -2, 8).
    assert value_at(scan, (-7, -2, 8)) == 803
    assert value_at(scan, (-1, -14, 0)) == 0


def test_scan_knows_modality_subject_and_files_but_no_name(tmp_path):
    folder = write_series(tmp_path / "series", [0, 4, 8])
    (scan,) = read_series(folder)
    assert scan.modality == ("ct",)
    assert scan.subject == "KEY-7"
    assert sorted(scan.source) == sorted(folder.iterdir())
    assert scan.warnings == ()
    assert "Doe" not in repr(scan)


def test_nothing_stays_in_the_temporary_folder(tmp_path, monkeypatch):
    folder = write_series(tmp_path / "series", [0, 4, 8])
    before = sorted(folder.iterdir())
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    read_series(folder)
    assert list(scratch.iterdir()) == []
    assert sorted(folder.iterdir()) == before


def test_a_list_of_files_is_read_like_their_folder(tmp_path):
    folder = write_series(tmp_path / "series", [0, 4, 8])
    (listed,) = read_series(list(folder.iterdir()))
    (whole,) = read_series(folder)
    np.testing.assert_array_equal(listed.voxels, whole.voxels)


@pytest.mark.parametrize(
    ("positions", "found"),
    [
        ([0, 4, 8, 16, 20], "uneven gaps of 4 to 8 mm (the first after slice 3 of 5)"),
        ([0, 4, 8, 8, 12], "5 slices at 4 position(s)"),
        ([3, 3, 3], "3 slices at 1 position(s)"),
        ([3], "one slice"),
    ],
)
def test_a_spacing_that_would_be_a_lie_is_refused(tmp_path, positions, found):
    folder = tmp_path / "series"
    folder.mkdir()
    for number, z in enumerate(positions):
        write_series(tmp_path / f"{number}", [z])
        (file,) = (tmp_path / f"{number}").iterdir()
        file.rename(folder / f"{number}.dcm")
    with pytest.raises(ScanError) as refusal:
        read_series(folder)
    assert found in str(refusal.value)
    assert refusal.value.path == folder


@pytest.mark.parametrize("orientation", ["1\\0\\0\\0\\1\\0", "-1\\0\\0\\0\\1\\0"])
def test_rounding_of_positions_is_no_gap_and_both_ends_are_true(tmp_path, orientation):
    positions = [0, 1.2, 2.5, 3.7, 5.0]
    folder = write_series(tmp_path / "series", positions, **{"0020|0037": orientation})
    (scan,) = read_series(folder)
    assert np.linalg.norm(scan.affine[:3, 2]) == pytest.approx(1.25)
    ends = [(scan.affine @ [0, 0, k, 1])[2] for k in (0, 4)]
    assert sorted(ends) == pytest.approx([0, 5])
    assert value_at(scan, (-1, -2, 5)) == 500


def test_a_conversion_that_begins_with_the_last_slice_has_true_ends_too(tmp_path, monkeypatch):
    def backwards(name, files, folder, shape):
        converted = nibabel.load(convert_series(name, files, folder, shape)[0])
        affine = converted.affine @ np.diag([1, 1, -1, 1])
        affine[2, 3] = 4 * 1.2  # four times the first step, where the last slice lies at 5.0
        voxels = np.asarray(converted.dataobj)[:, :, ::-1]
        nibabel.save(nibabel.Nifti1Image(voxels, affine), folder / "backwards.nii")
        return [folder / "backwards.nii"]

    monkeypatch.setattr(dicom, "convert_series", backwards)
    (scan,) = read_series(write_series(tmp_path / "series", [0, 1.2, 2.5, 3.7, 5.0]))
    ends = [(scan.affine @ [0, 0, k, 1])[2] for k in (0, 4)]
    assert sorted(ends) == pytest.approx([0, 5], abs=1e-6)
    assert [value_at(scan, (-1, -2, z)) for z in (0, 5)] == [0, 500]


def test_a_good_series_survives_a_bad_one_beside_it(tmp_path):
    folder = write_series(tmp_path / "both", [0, 4, 8], uid="1.2.3")
    write_series(folder, [0, 4, 12], uid="1.2.4")
    (folder / "notes.txt").write_text("no scan")
    scans, refused = read_every_series(folder)
    assert [scan.shape for scan in scans] == [(6, 5, 3)]
    assert scans[0].warnings == ("1 files beside it are no DICOM: left out",)
    assert [error.path.name[:5] for error in refused] == ["1.2.4"]
    assert len(read_series(folder)) == 1


def test_masks_are_kept_apart_and_named(tmp_path):
    folder = write_series(tmp_path / "series", [0, 4, 8])
    segmentation = {"0008|0016": "1.2.840.10008.5.1.4.1.1.66.4"}
    write_series(folder, [0, 4, 8], uid="1.2.9", modality="SEG", **segmentation)
    scans, (mask,) = read_every_series(folder)
    assert [scan.warnings for scan in scans] == [()]
    assert mask.path.name.startswith("1.2.9-")
    assert "Segmentation, which holds no slices" in mask.found


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("7", "Secondary Capture Image"),
        ("88.67", "X-Ray Radiation Dose SR"),
        ("1.1", "Digital X-Ray Image"),
        ("481.2", "RT Dose"),
    ],
)
def test_what_is_no_scan_is_refused_by_the_name_of_its_class(tmp_path, place, name):
    tags = {"0008|0016": f"1.2.840.10008.5.1.4.1.1.{place}"}
    folder = write_series(tmp_path / "series", [0, 4, 8], modality="OT", **tags)
    with pytest.raises(ScanError, match=f"found {name}, which holds no slices"):
        read_series(folder)


def test_a_localizer_is_refused_even_in_the_series_of_the_scan(tmp_path):
    folder = write_series(tmp_path / "series", [0, 4, 8])
    scouts = write_series(tmp_path / "scouts", [2, 6], **{"0008|0008": LOCALIZER})
    for file in scouts.iterdir():
        file.rename(folder / f"scout-{file.name}")
    (scan,), (scout,) = read_every_series(folder)
    assert scan.shape == (6, 5, 3)
    assert "a localizer (ImageType LOCALIZER)" in scout.found


@pytest.mark.parametrize(
    ("tags", "warning"),
    [
        ({"0008|0008": "DERIVED\\SECONDARY\\REFORMATTED"}, "derived from other images"),
        ({"0028|0301": "YES"}, "burned-in annotation"),
    ],
)
def test_reformatted_and_annotated_slices_are_kept_with_a_warning(tmp_path, tags, warning):
    (scan,) = read_series(write_series(tmp_path / "series", [0, 4, 8], **tags))
    assert [warning in told for told in scan.warnings] == [True]


def test_the_same_slice_twice_is_taken_once(tmp_path):
    folder = write_series(tmp_path / "series", [0, 4, 8])
    plain = read_series(folder)[0]
    for file in sorted(folder.iterdir())[:2]:
        shutil.copy(file, folder / f"again-{file.name}")
    (scan,) = read_series(folder)
    assert scan.warnings == ("2 slices were there twice: each is taken once",)
    np.testing.assert_array_equal(scan.voxels, plain.voxels)
    np.testing.assert_array_equal(scan.affine, plain.affine)


def test_one_identifier_for_two_pictures_of_one_place_is_no_copy(tmp_path):
    same = {"0008|0018": "1.2.3.4", "0020|0032": "1\\2\\8"}
    folder = write_series(tmp_path / "series", [8, 9], **same)
    with pytest.raises(ScanError, match=r"2 slices at 1 position\(s\)"):
        read_series(folder)


def test_a_damaged_file_is_named_beside_a_good_series(tmp_path):
    folder = write_series(tmp_path / "series", [0, 4, 8])
    whole = next(folder.iterdir()).read_bytes()
    (folder / "short.dcm").write_bytes(whole[: len(whole) - 20])
    (folder / "DICOMDIR").write_bytes(whole[:200])
    (scan,), (damaged,) = read_every_series(folder)
    assert scan.shape == (6, 5, 3)
    assert damaged.path == folder / "short.dcm"
    assert "a damaged CT Image" in damaged.found


def test_missing_and_empty_sources_are_named(tmp_path):
    for path in (tmp_path, tmp_path / "absent.dcm"):
        with pytest.raises(ScanError, match=path.name):
            read_series(path)
    with pytest.raises(ValueError, match="at least one file"):
        read_series([])


def canonical(scan):
    """Voxels and affine with each axis turned to the nearest of R, A, S, by nibabel."""
    from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

    turn = io_orientation(scan.affine)
    return apply_orientation(scan.voxels[0], turn), scan.affine @ inv_ornt_aff(turn, scan.shape)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("compressed_rle", "compressed_jpegls"),
        ("tiny_multiframe", "tiny_with_seg/image"),
    ],
)
def test_two_encodings_of_one_volume_agree(data_folder, first, second):
    dicom = data_folder / "ingest" / "dicom"
    scans = [read_series(dicom / name)[0] for name in (first, second)]
    (voxels, affine), (other_voxels, other_affine) = map(canonical, scans)
    np.testing.assert_array_equal(voxels, other_voxels)
    np.testing.assert_allclose(affine, other_affine, atol=1e-3)


def test_gantry_tilt_is_straightened_onto_the_true_places(data_folder):
    folder = data_folder / "ingest" / "dicom" / "gantry_tilt"
    (scan,) = read_series(folder)
    assert "gantry tilt" in scan.warnings[0]
    axes = scan.affine[:3, :3] / np.linalg.norm(scan.affine[:3, :3], axis=0)
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-4)
    # 5 mm along the table are 5 cos(14 degrees) along the normal.
    assert np.linalg.norm(scan.affine[:3, 2]) == pytest.approx(5 * np.cos(np.radians(14)), rel=1e-3)


def test_series_without_instance_numbers_keeps_rows_and_columns_apart(data_folder):
    (scan,) = read_series(data_folder / "ingest" / "dicom" / "oblique_no_instance_number")
    np.testing.assert_allclose(np.linalg.norm(scan.affine[:3, :3], axis=0), [2.5, 3.5, 4.5], 1e-4)


@pytest.mark.slow
def test_image_and_nifti_label_of_one_ct_agree(data_folder):
    from selfscan.scans.read import read_labels

    folder = Path(data_folder / "ingest" / "dicom" / "ct_jpeg2000_with_label")
    (scan,) = read_series(folder / "series")
    labels = read_labels(folder / "label.nii.gz")
    (_, first), (_, second) = canonical(scan), canonical(labels)
    np.testing.assert_allclose(first[:3, :3], second[:3, :3], atol=1e-3)
    offset = np.linalg.inv(second) @ first[:, 3]
    np.testing.assert_allclose(offset, np.rint(offset), atol=0.01)
    assert scan.voxels.min() >= -1024
