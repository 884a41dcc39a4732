from __future__ import annotations

import base64
import io
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image
from small_store import write_small_store

from selfscan.evaluation.thumbnails import HEIGHT, LEVELS, WIDTH, look_at, strip
from selfscan.scans.store import Store


def pixels(address: str) -> np.ndarray:
    kind, _, data = address.partition(";base64,")
    assert kind == "data:image/webp"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("L")).astype(int)


def test_planes_stand_side_by_side_to_scale() -> None:
    # 40 x 20 x 10 voxels of 1 x 2 x 6 mm: 40, 40 and 60 mm.
    channel = np.full((40, 20, 10), 300, np.int16)
    image, width, height = strip(
        channel, np.ones(channel.shape, bool), (1.0, 2.0, 6.0), hounsfield=True
    )
    assert (width, height) == (2 + 3 * 72 + 2, HEIGHT)
    assert width <= WIDTH
    shown = pixels(image) > 128
    # The axial plane is 40 x 40 mm, the others 40 x 60, all with their bottoms aligned.
    assert shown[:, :70].sum(axis=0).tolist() == pytest.approx([72] * 70, abs=2)
    assert shown[:, 80:140].sum(axis=0).tolist() == pytest.approx([108] * 60, abs=2)


def test_the_patients_right_is_left_and_the_head_is_up() -> None:
    channel = np.full((30, 30, 30), -1000, np.int16)
    channel[:15, :, 15:] = 300  # RAS+: small x is the patient's left
    image, *_ = strip(channel, np.ones(channel.shape, bool), (1.0, 1.0, 1.0), hounsfield=True)
    shown = pixels(image)
    side = (shown.shape[1] - 4) // 3
    coronal = shown[:, side + 2 : 2 * side + 2]
    half = side // 2
    assert coronal[: half - 4, half + 4 :].mean() > 240
    assert coronal[half + 4 :].mean() < 15
    assert coronal[:, : half - 4].mean() < 15


def test_intensities_are_of_the_body_in_hounsfield_units(tmp_path: Path) -> None:
    store = Store(write_small_store(tmp_path)).select(ids=["scan-3"])
    look = look_at((0, store))
    assert look.modality == ("ct",)
    assert look.levels is not None
    body = store.read(0)[0][store.read_foreground(0)]
    np.testing.assert_allclose(look.levels, np.quantile(body, LEVELS))
    assert look.levels[128] == pytest.approx(np.median(body), abs=5)


def test_what_cannot_be_read_says_so_and_does_not_stop(tmp_path: Path) -> None:
    store = Store(write_small_store(tmp_path)).select(ids=["scan-3"])
    store.file("volumes", 0).unlink()
    assert look_at((0, store)).trouble == "found no file in the store"
    assert look_at((1, tmp_path / "gone.nii.gz")).trouble == "the file is not where it was"
    (tmp_path / "bad.nii.gz").write_bytes(b"no scan")
    assert look_at((2, tmp_path / "bad.nii.gz")).trouble == "cannot be shown"
    assert look_at((3, tmp_path)).image is None


def test_a_file_left_out_is_pictured_where_it_can_be_read(tmp_path: Path) -> None:
    voxels = np.random.default_rng(0).integers(0, 500, (12, 10, 8)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([1, 1, 2, 1])), tmp_path / "a.nii.gz")
    look = look_at((0, tmp_path / "a.nii.gz"))
    assert look.image is not None
    assert look.shape == (12, 10, 8)
    assert look.spacing == (1.0, 1.0, 2.0)
