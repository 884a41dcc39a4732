from __future__ import annotations

import numpy as np
import pytest

from selfscan.errors import ScanError
from selfscan.scans.crops.examples import Crop
from selfscan.scans.crops.reading import (
    cut_volume,
    read_labels,
    read_volume,
    resize,
    resize_labels,
)

SHAPE = (40, 36, 20)


@pytest.fixture
def store(make_store, random):
    volume = random.integers(-1000, 1000, SHAPE).astype(np.int16)
    return make_store([volume], labels=[(volume // 300 % 4).astype(np.uint8)])


def centers(old: int, new: int) -> np.ndarray:
    return (np.arange(new) + 0.5) * old / new - 0.5


def inner(old: int, new: int) -> slice:
    """The new voxels that no border reaches."""
    inside = np.flatnonzero((centers(old, new) >= 6) & (centers(old, new) <= old - 7))
    return slice(inside[0], inside[-1] + 1)


@pytest.mark.parametrize("size", [(20, 18, 10), (16, 25, 20), (40, 50, 31), (13, 36, 7)])
def test_a_linear_ramp_keeps_its_place(size) -> None:
    shape = (60, 40, 30)
    ramp = np.einsum("ixyz,i->xyz", np.indices(shape), (100, 70, 30)).astype(np.int16)
    resized = resize(np.stack([ramp, -ramp]), size)
    assert resized.dtype == np.int16
    x, y, z = np.meshgrid(*map(centers, shape, size), indexing="ij")
    box = tuple(map(inner, shape, size))
    expected = (100 * x + 70 * y + 30 * z)[box]
    assert expected.size > 20
    assert np.abs(resized[0][box] - expected).max() <= 0.501
    np.testing.assert_array_equal(resized[0], -resized[1])


def test_constants_stay_and_the_same_size_changes_nothing(random) -> None:
    for value in (-1024, 3071, 32767):
        volume = np.full((1, 33, 20, 17), value, dtype=np.int16)
        assert (resize(volume, (9, 41, 16)) == value).all()
    volume = random.integers(-1000, 1000, (2, 9, 8, 7)).astype(np.int16)
    np.testing.assert_array_equal(resize(volume, (9, 8, 7)), volume)


def test_detail_that_the_new_grid_cannot_hold_fades() -> None:
    checkerboard = np.indices((48, 48, 48)).sum(axis=0) % 2 * 2000 - 1000
    resized = resize(checkerboard[None].astype(np.int16), (12, 12, 12))
    assert np.abs(resized[0, 2:-2, 2:-2, 2:-2]).max() < 10


def test_labels_are_those_of_the_voxel_around_each_center() -> None:
    labels = np.arange(6 * 3 * 4, dtype=np.uint8).reshape(6, 3, 4)
    resized = resize_labels(labels, (4, 6, 4))
    assert resized.dtype == np.uint8
    # centers 0.25, 1.75, 3.25 and 4.75 along x, -0.25, 0.25, 0.75 and so on along y
    np.testing.assert_array_equal(resized[:, 0, 0], labels[[0, 2, 3, 5], 0, 0])
    np.testing.assert_array_equal(resized[0, :, 0], labels[0, [0, 0, 1, 1, 2, 2], 0])
    np.testing.assert_array_equal(resized[0, 0], labels[0, 0])


def test_an_organ_and_its_label_are_resized_alike() -> None:
    place = np.indices((51, 40, 30)) - np.array([30, 17, 14])[:, None, None, None]
    labels = (np.linalg.norm(place, axis=0) < 9).astype(np.uint8)
    organ = resize(np.int16(1000) * labels[None], (17, 40, 90))[0] > 500
    resized = resize_labels(labels, (17, 40, 90)) == 1
    assert 2 * (organ & resized).sum() / (organ.sum() + resized.sum()) > 0.95


def test_a_crop_without_an_extent_is_read_as_it_lies(store) -> None:
    for crop in (
        Crop(0, (-3, 4, 5), (8, 9, 30)),
        Crop(0, (-3, 4, 5), (8, 9, 30), extent=(8, 9, 30)),
    ):
        box = crop.scan, crop.start, crop.size
        np.testing.assert_array_equal(read_volume(store, crop), store.read(*box))
        np.testing.assert_array_equal(read_labels(store, crop), store.read_labels(*box))


def test_an_extent_is_read_and_resized(store) -> None:
    crop = Crop(0, (2, -3, 4), (8, 9, 10), extent=(20, 18, 30))
    volume, labels = store.read(0), store.read_labels(0)
    padding = ((0, 0), (3, 0), (0, 14))
    expected = np.pad(volume[0, 2:22, :15, 4:], padding, constant_values=-1024)
    np.testing.assert_array_equal(read_volume(store, crop), resize(expected[None], (8, 9, 10)))
    expected = np.pad(labels[2:22, :15, 4:], padding)
    np.testing.assert_array_equal(read_labels(store, crop), resize_labels(expected, (8, 9, 10)))


def test_a_damaged_file_is_named(store) -> None:
    (store.path / "volumes" / "scan-0.b2nd").write_bytes(b"no volume")
    with pytest.raises(ScanError, match=r"scan-0.b2nd: found 9 bytes where there were"):
        read_volume(store, Crop(0, (0, 0, 0), (8, 8, 8), extent=SHAPE))


@pytest.mark.parametrize("extent", [None, (50, 20, 10)])
def test_a_volume_in_memory_is_cut_like_one_in_a_store(store, extent) -> None:
    crop = Crop(0, (-4, 5, 12), (20, 16, 14), extent)
    cut = cut_volume(store.read(0), store[0].hounsfield, crop)
    np.testing.assert_array_equal(cut, read_volume(store, crop))
    assert cut[0, 0, 0, 0] < -1000


@pytest.mark.parametrize("extent", [None, (50, 20, 7)])
def test_the_voxels_of_a_crop_lie_where_they_are_read(make_store, extent) -> None:
    x, y, z = np.indices(SHAPE)
    ramps = make_store([np.stack([x, y, z]).astype(np.int16) * 100], modality="other")
    slope, intercept = (
        np.array(v) for v in (ramps[0].intensity_slope, ramps[0].intensity_intercept)
    )
    crop = Crop(0, (-5, 6, 3), (20, 10, 14), extent)
    values = cut_volume(ramps.read(0), ramps[0].hounsfield, crop)
    for voxel in [(8, 4, 5), (10, 6, 8)]:
        place = (crop.to_scan @ [*voxel, 1])[:3]
        read = values[(slice(None), *voxel)] * slope + intercept
        np.testing.assert_allclose(read / 100, place, atol=0.02)
