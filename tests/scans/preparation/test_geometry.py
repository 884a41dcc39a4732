from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator
from scipy.spatial.transform import Rotation

from selfscan.scans.preparation.geometry import (
    resample,
    resample_labels,
    resample_onto,
    resizing_matrix,
    spacing_of,
    to_ras,
)

SHAPE = (7, 6, 5)


def oblique(*, degrees: float = 25.0, spacing=(0.8, 1.1, 2.5), flip=(1, 1, 1)) -> np.ndarray:
    affine = np.eye(4)
    turn = Rotation.from_euler("xyz", [degrees, -degrees / 2, 10], degrees=True).as_matrix()
    affine[:3, :3] = turn * np.array(spacing) * np.array(flip)
    affine[:3, 3] = (12.0, -30.0, 4.5)
    return affine


def world_of(affine: np.ndarray, voxel: np.ndarray) -> np.ndarray:
    return affine[:3, :3] @ voxel + affine[:3, 3]


def voxel_of(affine: np.ndarray, point: np.ndarray) -> np.ndarray:
    return np.linalg.solve(affine[:3, :3], point - affine[:3, 3])


@pytest.mark.parametrize("axes", list(permutations(range(3))))
@pytest.mark.parametrize("flips", list(product((1, -1), repeat=3)))
def test_a_world_point_keeps_its_value_under_reorientation(random, axes, flips) -> None:
    array = random.random((2, *SHAPE))
    affine = oblique(flip=flips)
    affine[:3, :3] = affine[:3, :3][:, axes]
    turned, new = to_ras(array, affine)
    directions = new[:3, :3] / np.linalg.norm(new[:3, :3], axis=0)
    assert (np.diagonal(directions) > 0.7).all()
    for _ in range(20):
        voxel = random.integers(0, SHAPE)
        there = np.rint(voxel_of(new, world_of(affine, voxel))).astype(int)
        np.testing.assert_array_equal(turned[(..., *there)], array[(..., *voxel)])
        np.testing.assert_allclose(world_of(new, there), world_of(affine, voxel), atol=1e-9)


def test_spacing_is_the_length_of_the_columns() -> None:
    assert spacing_of(oblique()) == pytest.approx((0.8, 1.1, 2.5))


@pytest.mark.parametrize("target", [(0.5, 0.5, 1.0), (1.3, 1.6, 3.0), (0.8, 2.0, 1.5)])
def test_resampling_keeps_a_linear_function_of_world_space(target) -> None:
    affine, shape = oblique(), (24, 20, 16)
    points = np.einsum("ij,jxyz->ixyz", affine[:3, :3], np.indices(shape).astype(float))
    slope = np.array([0.3, -0.7, 0.5])
    volume = np.einsum("i,ixyz->xyz", slope, points)[None]
    out, new = resample(volume, affine, target)
    assert out.dtype == np.float32
    assert spacing_of(new) == pytest.approx(target)
    inner = np.indices(out.shape[1:])[:, 5:-5, 5:-5, 3:-3].reshape(3, -1)
    inside = new[:3, :3] @ inner + (new[:3, 3] - affine[:3, 3])[:, None]
    expected = slope @ inside
    got = out[0][tuple(inner)]
    np.testing.assert_allclose(got, expected, atol=2e-4)


def test_resampling_keeps_center_and_extent_of_the_volume() -> None:
    affine, shape = oblique(spacing=(1.0, 1.0, 2.0)), (30, 20, 10)
    out, new = resample(np.zeros((1, *shape)), affine, (2.0, 2.0, 1.0))
    assert out.shape == (1, 15, 10, 20)
    old_center = world_of(affine, (np.array(shape) - 1) / 2)
    new_center = world_of(new, (np.array(out.shape[1:]) - 1) / 2)
    np.testing.assert_allclose(new_center, old_center, atol=1e-9)


def test_a_checkerboard_fades_when_it_cannot_be_held() -> None:
    board = np.indices((40, 40, 40)).sum(axis=0) % 2 * 100.0
    out, _ = resample(board[None], np.eye(4), (3.0, 3.0, 3.0))
    inner = out[0, 3:-3, 3:-3, 3:-3]
    assert inner == pytest.approx(50, abs=2)


def test_the_same_spacing_returns_the_very_voxels(random) -> None:
    volume = random.integers(-1000, 1000, (1, *SHAPE)).astype(np.int16)
    out, affine = resample(volume, oblique(), (0.8, 1.1001, 2.5))
    assert out is volume
    np.testing.assert_array_equal(affine, oblique())


def test_nearest_labels_are_those_of_the_nearest_voxel() -> None:
    labels = np.zeros((12, 12, 12), dtype=np.uint8)
    labels[3:7, 2:9, 4:8] = 7
    finer, new = resample_labels(labels, np.eye(4), (0.5, 0.5, 0.5), how="nearest")
    np.testing.assert_array_equal(finer, labels.repeat(2, 0).repeat(2, 1).repeat(2, 2))
    assert finer.dtype == np.uint8
    np.testing.assert_allclose(new[:3, 3], -0.25)


def test_one_hot_labels_are_smooth_and_share_the_grid_of_the_image() -> None:
    x, y, z = np.ogrid[:30, :12, :12]
    inside = (x - 15) ** 2 + (2.5 * y - 15) ** 2 + (2.5 * z - 15) ** 2 < 100
    labels = inside.astype(np.int16) * 300
    affine = np.diag([1.0, 2.5, 2.5, 1.0])
    image, where = resample(labels[None].astype(float), affine, (1.0, 1.0, 1.0))
    smooth, place = resample_labels(labels, affine, (1.0, 1.0, 1.0), how="one-hot-linear")
    blocky, _ = resample_labels(labels, affine, (1.0, 1.0, 1.0), how="nearest")
    assert smooth.shape == image.shape[1:] == blocky.shape
    np.testing.assert_array_equal(where, place)
    assert set(np.unique(smooth)) == {0, 300}
    np.testing.assert_array_equal(smooth == 300, image[0] > 150)
    x, y, z = np.indices(smooth.shape) + place[:3, 3, None, None, None]
    ball = (x - 15) ** 2 + (y - 15) ** 2 + (z - 15) ** 2 < 100
    assert ((smooth == 300) != ball).sum() < ((blocky == 300) != ball).sum()


@pytest.mark.parametrize("axes", list(permutations(range(3))))
@pytest.mark.parametrize("flip", [(1, 1, 1), (-1, 1, 1), (1, -1, -1), (-1, -1, -1)])
def test_turned_grids_come_back_to_the_bit(random, axes, flip) -> None:
    affine = oblique(flip=flip)
    affine[:3, :3] = affine[:3, :3][:, axes]
    original = random.random((3, *SHAPE)).astype(np.float32)
    turned, new = to_ras(original, affine)
    # What a file keeps of an affine is float32.
    back = resample_onto(turned, new.astype(np.float32).astype(float), SHAPE, affine)
    np.testing.assert_array_equal(back, original)


@pytest.mark.parametrize("flip", [(1, 1, 1), (-1, -1, 1)])
def test_other_grids_are_interpolated_linearly(random, flip) -> None:
    volume = random.random((2, 9, 8, 7)).astype(np.float32)
    affine = oblique(flip=flip)
    target_affine = oblique(degrees=31.0, spacing=(1.0, 0.9, 2.0))
    target_shape = (8, 9, 6)
    got = resample_onto(volume, affine, target_shape, target_affine)
    voxels = np.indices(target_shape).reshape(3, -1)
    points = target_affine[:3, :3] @ voxels + target_affine[:3, 3:]
    places = np.linalg.solve(affine[:3, :3], points - affine[:3, 3:])
    places = np.clip(places, 0, np.array(volume.shape[1:])[:, None] - 1)
    for channel, part in zip(volume, got, strict=True):
        slow = RegularGridInterpolator([np.arange(n) for n in channel.shape], channel)
        expected = slow(places.T).reshape(target_shape)
        np.testing.assert_allclose(part, expected, atol=1e-5)


def test_there_and_back_through_another_spacing_is_close() -> None:
    x, y, z = np.meshgrid(*(np.linspace(0, 3, n) for n in (40, 36, 30)), indexing="ij")
    volume = np.sin(x + y)[None] * np.cos(z) + np.float64(0)
    affine = oblique(spacing=(1.0, 1.0, 1.5))
    turned, new = resample(*to_ras(volume, affine), (1.2, 1.2, 1.2))
    back = resample_onto(turned.astype(np.float32), new, volume.shape[1:], affine)
    assert np.abs(back - volume)[:, 2:-2, 2:-2, 2:-2].max() < 0.02


def test_a_ramp_at_seven_tenths_of_its_length_has_the_values_of_the_specification_of_vox2vec():
    ramp = np.tile(np.arange(11, dtype=np.float32)[:, None, None], (1, 2, 2))[None]
    resampled, affine = resample(ramp, np.eye(4), (1 / 0.7, 1.0, 1.0))
    assert resampled.shape == (1, 8, 2, 2)
    places = affine[0, 0] * np.arange(8) + affine[0, 3]
    np.testing.assert_allclose(places, np.linspace(0, 10, 8), atol=1e-6)
    # The ends are smoothed, as fewer voxels hold no finer detail.
    np.testing.assert_allclose(resampled[0, 1:-1, 0, 0], places[1:-1], atol=0.02)


@pytest.mark.parametrize(("old", "new"), [(90, 40), (40, 90), (31, 31), (1001, 1000), (7, 1)])
def test_a_resizing_matrix_keeps_constants_and_the_inside_of_a_ramp(old, new) -> None:
    matrix = resizing_matrix(old, new)
    assert matrix.shape == (new, old)
    assert matrix.dtype == np.float32
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-6)
    centers = (np.arange(new) + 0.5) * old / new - 0.5
    inside = (centers >= 4) & (centers <= old - 5)
    np.testing.assert_allclose(
        (matrix @ np.arange(old))[inside], centers[inside], rtol=1e-6, atol=1e-5
    )
    np.testing.assert_array_equal(matrix, matrix[::-1, ::-1])


def test_a_resizing_matrix_is_what_resampling_does_along_an_axis(random) -> None:
    volume = random.normal(size=(1, 24, 5, 6)).astype(np.float32)
    resampled, _ = resample(volume, np.eye(4), (2.0, 1.0, 1.0))
    np.testing.assert_allclose(
        np.einsum("ix,cxyz->ciyz", resizing_matrix(24, 12), volume), resampled, atol=1e-6
    )
