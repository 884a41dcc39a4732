"""Every input of the folder of odd ones, held to what its manifest says a good reader does."""

from __future__ import annotations

import json
import os
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import SimpleITK
from distributed import LocalCluster
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

from selfscan.errors import ScanError
from selfscan.scans.find import find
from selfscan.scans.formats.dicom import read_every_series
from selfscan.scans.formats.slices import read_slice_header
from selfscan.scans.preparation.grid import require_same_grid
from selfscan.scans.prepare import prepare
from selfscan.scans.read import read, read_labels

DATA = Path(os.environ.get("SELFSCAN_DATA", Path(__file__).parents[3] / "shared" / "data"))
INGEST = DATA / "ingest"
ROWS = json.loads((INGEST / "manifest.json").read_text())["items"] if INGEST.is_dir() else []
# The manifest asks to load a constant image; here such an image has nothing to teach.
STRICTER = {"nifti/constant_image.nii.gz": "refuse"}
SLOW = ("dicom/ct_jpeg2000_with_label", "other/large_sparse_label.nrrd")
# What is refused, and the words that say why; everything else is read.
REFUSED = {
    "dicom/gantry_tilt_uneven_gaps": "uneven gaps of 1.081 to 6.999 mm (the first after slice 14",
    "dicom/missing_slice": "uneven gaps of 3 to 6 mm (the first after slice 13 of 18)",
    "dicom/uneven_gaps": "uneven gaps of 5 to 10 mm (the first after slice 3 of 4)",
    "dicom/same_position": "4 slices at 1 position(s)",
    "dicom/two_orientations": "several orientations or pixel sizes",
    "dicom/repeated_positions_dti": "8 slices at 4 position(s)",
    "dicom/colour": "Secondary Capture Image, which holds no slices",
    "dicom/tiny_with_seg": "Segmentation, which holds no slices",
    "dicom/single_files/MR_truncated.dcm": "a damaged MR Image",
    "dicom/single_files/no_meta.dcm": "a damaged CT Image",
    "dicom/single_files/badVR.dcm": "RT Dose, which holds no slices",
    "dicom/single_files/CT_small.dcm": "one slice",
    "dicom/single_files/rtstruct.dcm": "RT Structure Set, which holds no slices",
    "nifti/not_nifti.nii": "without the NIfTI mark",
    "nifti/five_d.nii": "3 volumes in one file",
    "nifti/nifti2_4d.nii.gz": "2 volumes in one file",
    "nifti/oblique_4d.nii.gz": "2 volumes in one file",
    "nifti/complex.nii.gz": "complex numbers",
    "nifti/constant_image.nii.gz": "the value 1 in every voxel",
    "other/missing_raw.nhdr": "no data file beside it (number 1 of 93)",
    "other/tiny.mnc": "the suffix '.mnc'",
    "other/test.mgz": "the suffix '.mgz'",
    "derived/truncated.nii.gz": "cannot be read to its end",
    "derived/truncated.nii": "62,232 bytes",
    "derived/empty.nii.gz": "an empty file",
    "derived/lfs_pointer.nii.gz": "a text pointer",
    "derived/huge_dims.nii": "27,000,000,000,000 voxels, shape (30000, 30000, 30000)",
    "derived/singular_affine.nii.gz": "a spacing of 1 x 1 x 0 mm",
    "derived/single_slice.nii.gz": "one slice, shape 35 x 52 x 1",
    "derived/two_channels.nii.gz": "2 volumes in one file",
    "derived/two_channels_vector.nii.gz": "2 volumes in one file",
    "derived/label_fractional.nii.gz": "fractional, such as 0.5",
    "derived/label_negative.nii.gz": "negative, such as -1",
    "derived/rgb.nii.gz": "colors (RGB)",
    "derived/lost_raw.mhd": "no data file beside it",
    "derived/short_raw.mha": "62,156 bytes",
    "derived/array.npy": "the suffix '.npy'",
    "derived/object_array.npy": "the suffix '.npy'",
    "derived/fortran_order.npy": "the suffix '.npy'",
}
# What is read with a word of caution; no other scan has one.
WARNED = {
    "dicom/plain_names_unsorted": "derived from other images",
    "dicom/oblique_no_instance_number": "derived from other images",
    "dicom/gantry_tilt": "gantry tilt",
    "dicom/mixed_folder": "2 files beside it are no DICOM",
    "dicom/tiny_with_seg": "2 values in all voxels",
    "dicom/tiny_multiframe": "2 values in all voxels",
    "nifti/header_extension.nii.gz": "2 values in all voxels",
    "derived/nan_inf.nii.gz": "4 voxels of NaN or infinity",
    "derived/qform_sform_differ.nii.gz": "the sform is taken",
    "derived/no_forms.nii.gz": "spacing is from pixdim, orientation is unknown",
    "derived/sheared.nii.gz": "19.3 degrees off a right angle",
    "derived/label_255.nii.gz": "1 voxels of label 255",
}
# Files that are no scan and nothing that goes with one: passed over, or part of another file.
NEVER_A_SCAN = {
    *("README.md", "manifest.json", "dicom/ct_jpeg2000_with_label/labels.json"),
    *("dicom/mixed_folder/notes.txt", "dicom/mixed_folder/Thumbs.db"),
}


@pytest.fixture
def ingest_folder(data_folder: Path) -> Path:
    return data_folder / "ingest"


def outcome(path):
    """Scans and refusals of one input of the manifest."""
    if path.is_dir():
        scans, refused = [], []
        for source in find([path]).sources:
            if source.kind == "dicom":
                more, errors = read_every_series(source.images[0])
                scans, refused = scans + more, refused + errors
        return scans, refused
    labels = "label" in path.name or "mask" in path.name
    try:
        return [(read_labels if labels else read)(path)], []
    except ScanError as error:
        return [], [error]


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(row, id=row["path"], marks=[pytest.mark.slow] * (row["path"] in SLOW))
        for row in ROWS
    ],
)
def test_each_odd_input_is_read_rightly_or_refused_with_reason(row):
    expect = STRICTER.get(row["path"], row["expect"])
    paths = sorted(INGEST.glob(row["path"]))
    assert paths
    for path in paths:
        scans, refused = outcome(path)
        for error in refused:
            assert path.name in str(error)
            assert all((error.found, error.expected, error.remedy))
        for scan in scans:
            assert scan.voxels.ndim == 4
            assert scan.voxels.dtype.kind in "iu" or scan.voxels.dtype == np.float32
            assert scan.voxels.dtype.isnative
            assert np.isfinite(scan.voxels).all()
            assert np.linalg.det(scan.affine) != 0
        if expect == "load":
            assert scans, refused
        elif expect == "refuse":
            assert refused
            assert not scans
        elif expect == "warn_or_refuse":
            assert refused or all(scan.warnings for scan in scans)
        elif expect == "split":
            assert len(scans) == row["facts"]["series"]
        elif expect in ("refuse_pair", "warn_or_refuse_pair"):
            with pytest.raises(ScanError, match="of the image or the first channel"):
                require_same_grid(read(INGEST / "derived" / "reference.nii.gz"), scans[0])
        said = " ".join(error.found for error in refused)
        assert bool(refused) == (row["path"] in REFUSED), said
        assert REFUSED.get(row["path"], "") in said
        warnings = [warning for scan in scans for warning in scan.warnings]
        assert bool(warnings) == (row["path"] in WARNED), warnings
        assert WARNED.get(row["path"], "") in " ".join(warnings)
        if scans:
            require_facts(scans[0], row["facts"])


def require_facts(scan, facts):
    if "shape" in facts:
        assert list(scan.shape) == facts["shape"]
    if "spacing" in facts:
        spacing = np.linalg.norm(scan.affine[:3, :3], axis=0)
        np.testing.assert_allclose(spacing, facts["spacing"], rtol=1e-4)
    if "max" in facts:
        assert scan.voxels.max() == facts["max"]
    if "frames" in facts:
        assert scan.shape[2] == facts["frames"]


def in_ras(scan):
    turn = io_orientation(scan.affine)
    return apply_orientation(scan.voxels[0], turn), scan.affine @ inv_ornt_aff(turn, scan.shape)


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("nifti/orient_RAS.nii.gz", "nifti/orient_*.nii.gz"),
        ("nifti/little_endian.nii.gz", "nifti/big_endian.nii.gz"),
        ("derived/reference.nii.gz", "derived/gzip_named.nii"),
        ("derived/reference.nii.gz", "derived/plain_named.nii.gz"),
        ("derived/reference.nii.gz", "derived/trailing_one.nii.gz"),
        ("derived/reference.nii.gz", "derived/slope_zero.nii.gz"),
        ("derived/reference.nii.gz", "derived/name with spaces *.nii.gz"),
        ("derived/ras_space.nrrd", "derived/meta.mha"),
        ("derived/meta.mha", "derived/pair.mhd"),
    ],
)
def test_one_volume_in_several_forms_is_one_volume(ingest_folder, name, others):
    voxels, affine = in_ras(read(ingest_folder / name))
    for other in sorted(ingest_folder.glob(others)):
        other_voxels, other_affine = in_ras(read(other))
        np.testing.assert_allclose(other_voxels, voxels, atol=0.01)
        np.testing.assert_allclose(other_affine, affine, atol=1e-3)


def test_numbers_are_what_the_header_makes_of_them(ingest_folder):
    derived = ingest_folder / "derived"
    reference = read(derived / "reference.nii.gz").voxels
    scaled = read(derived / "scaled_int16.nii.gz").voxels
    np.testing.assert_array_equal(scaled, 0.5 * reference.astype(np.float32) - 100)
    double = read(derived / "float64.nii.gz").voxels
    assert double.dtype == np.float32
    np.testing.assert_allclose(double, reference, atol=0.5)
    signed = read(derived / "int8.nii.gz").voxels
    assert (signed.min(), signed.max()) == (-50, 50)
    labels = read_labels(derived / "label_float.nii.gz").voxels
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, read_labels(derived / "reference_label.nii.gz").voxels)


def test_places_are_what_the_header_says(ingest_folder):
    moved = ingest_folder / "nifti" / "anat_moved.nii"
    np.testing.assert_allclose(read(moved).affine, nibabel.load(moved).affine, atol=1e-4)
    differ = ingest_folder / "derived" / "qform_sform_differ.nii.gz"
    np.testing.assert_allclose(read(differ).affine, nibabel.load(differ).header.get_sform())
    turned = read(ingest_folder / "other" / "prostate_phantom_subvolume.nrrd")
    # Direction -1, -1, 1 in LPS is +, +, + in RAS.
    assert (np.diag(turned.affine)[:3] > 0).all()


@pytest.mark.parametrize(
    ("image", "labels"),
    [
        ("breast1_image", "breast1_label"),
        ("prostate_phantom_subvolume", "prostate_phantom_subvolume-label"),
    ],
)
def test_image_and_label_map_lie_on_each_other(ingest_folder, image, labels):
    other = ingest_folder / "other"
    require_same_grid(read(other / f"{image}.nrrd"), read_labels(other / f"{labels}.nrrd"))


@pytest.mark.parametrize("name", ["per_slice_rescale", "plain_names_unsorted"])
def test_slices_are_scaled_one_by_one_and_ordered_by_position(ingest_folder, name):
    headers = map(read_slice_header, (ingest_folder / "dicom" / name).iterdir())
    normal = None
    slices = []
    for header in headers:
        normal = np.cross(header.orientation[:3], header.orientation[3:])
        pixels = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(header.path)))[0]
        slices.append((float(np.dot(header.position, normal)), pixels.astype(np.float64)))
    expected = np.array([pixels for _, pixels in sorted(slices, key=lambda item: item[0])])
    voxels, affine = in_ras(read(ingest_folder / "dicom" / name))
    # Mean of each slice, in the order of the heights above along the axis of the slices.
    axis = int(np.argmax(np.abs(normal @ np.diag([-1, -1, 1]) @ affine[:3, :3])))
    means = voxels.astype(np.float64).mean(axis=tuple({0, 1, 2} - {axis}))
    rising = (normal * (-1, -1, 1)) @ affine[:3, axis] > 0
    np.testing.assert_allclose(
        means if rising else means[::-1], expected.mean(axis=(1, 2)), rtol=1e-4
    )


@pytest.mark.slow
def test_prepare_accounts_for_every_file(ingest_folder, tmp_path):
    with LocalCluster(n_workers=1, processes=False, dashboard_address=":0") as here:
        store = prepare(
            ingest_folder,
            tmp_path / "store",
            scheduler=here.scheduler_address,
            sources_table=tmp_path / "sources.csv",
        )
    ids = {record.id for record in store}
    origins = pd.read_csv(tmp_path / "sources.csv")
    assert set(origins["id"]) == ids
    table = pq.read_table(tmp_path / "store" / "rejected.parquet").to_pylist()
    reasons = {Path(row["path"]): row["reason"] for row in table}
    assert len(ids) > 35
    taken, named = set(), set(reasons)
    for source in find([ingest_folder]).sources:
        (first,) = source.images
        own = str(first.resolve()) in set(origins["path"])
        if source.kind == "file":
            taken |= (
                set(read(first).source)
                if own or "same content" in reasons.get(first, "")
                else set()
            )
            continue
        scans, _ = read_every_series(first)
        taken |= {file for scan in scans for file in scan.source if own or first in named}
        headers = [read_slice_header(file) for file in first.iterdir() if file.is_file()]
        bad_series = {header.series for header in headers if header and header.path in named}
        named |= {h.path for h in headers if h and (h.series in bad_series or first in named)}
    files = {path for path in ingest_folder.rglob("*") if path.is_file()}
    lost = files - taken - named - {ingest_folder / name for name in NEVER_A_SCAN}
    assert not lost
    # Label maps that nothing names as such are told by their values.
    for record in store:
        if "label" in record.id:
            assert any("is it a label map?" in warning for warning in record.warnings), record.id
