"""The map between two scans, against the same map walked step by step for each place."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from geometries import FLIPPED, OBLIQUE, RESIZED, a_registration

from selfscan.training.registration import Registration

Floats = npt.NDArray[np.float64]


def walked(registration: Registration, place: Floats) -> Floats:
    """One place, all eight voxels around it looked up by hand."""
    voxel = np.linalg.solve(registration.fixed, [*place, 1])[:3]
    last = np.array(registration.displacements.shape[1:]) - 1
    inside = np.clip(voxel, 0, last)
    low = np.minimum(np.floor(inside).astype(int), np.maximum(last - 1, 0))
    shift = np.zeros(3)
    for corner in np.ndindex(2, 2, 2):
        weight = np.prod(np.where(corner, inside - low, 1 - (inside - low)))
        x, y, z = np.minimum(low + corner, last)
        shift += weight * registration.displacements[:, x, y, z]
    mapped = registration.moving @ registration.matrix @ [*(voxel + shift), 1]
    return mapped[:3]


@pytest.mark.parametrize("fixed", [OBLIQUE, FLIPPED, RESIZED])
@pytest.mark.parametrize("moving", [OBLIQUE, FLIPPED, RESIZED])
def test_each_place_goes_where_the_steps_lead(fixed: Floats, moving: Floats) -> None:
    registration = a_registration(fixed, moving)
    corners = [fixed[:3] @ [*voxel, 1] for voxel in ((-9, -9, -9), (30, 30, 30))]
    places = np.random.default_rng(1).uniform(*np.sort(corners, axis=0), (60, 3))
    expected = [walked(registration, place) for place in places]
    np.testing.assert_allclose(registration(places), expected, rtol=1e-6, atol=1e-6)
    for simpler in (registration.affine_only(), registration.identity()):
        assert not simpler.displacements.any()
        expected = [walked(simpler, place) for place in places]
        np.testing.assert_allclose(simpler(places), expected, rtol=1e-9, atol=1e-9)


def test_the_identity_lays_voxel_on_voxel() -> None:
    registration = a_registration(OBLIQUE, FLIPPED).identity()
    voxels = np.array([[0, 0, 0], [3, 1, 4], [-2.5, 9, 7]])
    fixed, moving = (voxels @ a[:3, :3].T + a[:3, 3] for a in (OBLIQUE, FLIPPED))
    np.testing.assert_allclose(registration(fixed), moving, atol=1e-12)


def test_a_shift_by_millimeters() -> None:
    """Crops at one place in the world; u is the shift in voxels of the oblique crop."""
    shift_mm = np.array([3.0, -4.5, 7.0])
    displacements = np.empty((3, 4, 5, 6))
    displacements[:] = np.linalg.solve(OBLIQUE[:3, :3], shift_mm)[:, None, None, None]
    registration = Registration(OBLIQUE, OBLIQUE, np.eye(4), displacements)
    places = np.random.default_rng(2).uniform(-200, 200, (20, 3))
    np.testing.assert_allclose(registration(places), places + shift_mm, atol=1e-10)
    np.testing.assert_allclose(registration.determinants(), 1, atol=1e-12)
    assert registration.folding() == 0


def test_determinants_are_those_of_differences_of_the_map() -> None:
    registration = a_registration(OBLIQUE, RESIZED)
    found = registration.determinants()
    assert found.shape == (6, 5, 7)
    for voxel in [(0, 0, 0), (2, 3, 1), (4, 0, 5), (1, 3, 4)]:
        steps = np.vstack([voxel, np.array(voxel) + np.eye(3)])
        ends = registration(steps @ OBLIQUE[:3, :3].T + OBLIQUE[:3, 3])
        moved = (ends[1:] - ends[0]).T @ np.linalg.inv(OBLIQUE[:3, :3])
        assert found[voxel] == pytest.approx(np.linalg.det(moved), abs=1e-5)


def test_where_a_displacement_turns_back_the_map_folds() -> None:
    displacements = np.zeros((3, 8, 4, 4))
    # A plane that overtakes the next two: from x = 2 space runs backward once.
    displacements[0, 2] = 2.5
    registration = Registration(np.eye(4), np.eye(4), np.eye(4), displacements)
    expected = np.ones((8, 4, 4))
    expected[1], expected[2] = 3.5, -1.5
    np.testing.assert_allclose(registration.determinants(), expected)
    assert registration.folding() == pytest.approx(1 / 8)
    assert registration.affine_only().folding() == 0


def test_a_displacement_that_swings_from_voxel_to_voxel_folds() -> None:
    displacements = np.zeros((3, 8, 4, 4))
    displacements[1] = np.where(np.arange(4) % 2, 0.6, -0.6)[None, :, None]
    registration = Registration(np.eye(4), np.eye(4), np.eye(4), displacements)
    # Steps of 1.2 forth and back; behind the last voxel nothing changes.
    assert registration.determinants()[0, :, 0] == pytest.approx([2.2, -0.2, 2.2, 1])
    assert registration.folding() == pytest.approx(1 / 4)


def test_a_mirror_folds_everywhere() -> None:
    mirror = np.diag([-1.0, 1, 1, 1])
    registration = Registration(OBLIQUE, OBLIQUE, mirror, np.zeros((3, 3, 3, 3)))
    assert registration.folding() == 1
