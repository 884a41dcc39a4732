"""Volumes moved onto another grid, against values worked out voxel by voxel."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from geometries import FLIPPED, OBLIQUE, RESIZED, a_registration, affine_of, turned

from selfscan.training.moving import Grid, displacement_field, move_onto
from selfscan.training.registration import Registration, apply

AFFINES = [OBLIQUE, FLIPPED, RESIZED]
SHAPE = (7, 6, 5)


def grids_in(fixed) -> list[Grid]:
    """One that lies obliquely to a crop and one that is flipped, neither with its voxels."""
    oblique = affine_of(turned(8, 5) * [0.8, 1.1, 0.9], (0.3, 0.4, 0.6))
    flipped = affine_of(np.diag([-0.8, 0.9, 1.1]), (5.2, -0.3, 0.2))
    return [Grid(SHAPE, fixed @ oblique), Grid(SHAPE, fixed @ flipped)]


@pytest.mark.parametrize(("fixed", "moving"), itertools.permutations(AFFINES, 2))
def test_each_voxel_is_read_where_the_map_leads(fixed, moving) -> None:
    registration = a_registration(fixed, moving)
    volume = np.random.default_rng(3).normal(size=(2, 9, 8, 7)).astype(np.float32)
    scan = moving @ affine_of(np.diag([0.7, 0.8, 0.9]), (-1, 0.5, 0))
    for grid in grids_in(fixed):
        moved = move_onto(grid, volume, scan, registration, outside=[-5, 5])
        inside = 0
        for voxel in np.ndindex(SHAPE):
            place = registration(apply(grid.affine, np.array([voxel])))
            x, y, z = apply(np.linalg.inv(scan), place)[0]
            if not all(-0.5 <= v < n - 0.5 for v, n in zip((x, y, z), (9, 8, 7), strict=True)):
                assert moved[(0, *voxel)] == -5
                assert moved[(1, *voxel)] == 5
                continue
            inside += 1
            expected = np.zeros(2)
            for corner in np.ndindex(2, 2, 2):
                neighbor = np.floor([x, y, z]).astype(int) + corner
                weight = np.prod(1 - np.abs(neighbor - [x, y, z]))
                i, j, k = np.clip(neighbor, 0, [8, 7, 6])
                expected += weight * volume[:, i, j, k]
            np.testing.assert_allclose(moved[(slice(None), *voxel)], expected, atol=1e-5)
        assert inside > 20


def test_whole_numbers_stay_whole_and_labels_are_not_mixed() -> None:
    registration = a_registration(OBLIQUE, OBLIQUE)
    labels = np.random.default_rng(4).choice([0, 3, 200], (1, 9, 8, 7)).astype(np.uint8)
    grid = Grid(SHAPE, OBLIQUE)
    moved = move_onto(grid, labels, OBLIQUE, registration, outside=[0], order=0)
    assert moved.dtype == np.uint8
    assert set(np.unique(moved)) == {0, 3, 200}
    mixed = move_onto(grid, labels, OBLIQUE, registration, outside=[0])
    exact = move_onto(grid, labels.astype(np.float64), OBLIQUE, registration, outside=[0])
    np.testing.assert_array_equal(mixed, np.rint(exact))
    assert len(np.unique(mixed)) > 10


def test_the_same_grid_without_a_map_changes_nothing() -> None:
    still = Registration(FLIPPED, FLIPPED, np.eye(4), np.zeros((3, 4, 4, 4)))
    volume = np.random.default_rng(5).integers(-1000, 1000, (1, *SHAPE)).astype(np.int16)
    moved = move_onto(Grid(SHAPE, OBLIQUE), volume, OBLIQUE, still, outside=[0])
    np.testing.assert_array_equal(moved, volume)
    assert np.abs(displacement_field(Grid(SHAPE, OBLIQUE), still)).max() < 1e-12


def test_displacements_lead_from_each_voxel_to_its_place() -> None:
    registration = a_registration(RESIZED, OBLIQUE)
    grid = grids_in(RESIZED)[0]
    field = displacement_field(grid, registration)
    assert field.dtype == np.float32
    for voxel in [(0, 0, 0), (6, 5, 4), (3, 1, 2)]:
        place = apply(grid.affine, np.array([voxel]))
        np.testing.assert_allclose(place + field[voxel], registration(place), atol=1e-4)
