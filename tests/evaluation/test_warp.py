"""Warps whose every displacement can be worked out by hand, and what holds for any."""

from __future__ import annotations

import numpy as np
import pytest

from selfscan.evaluation.warp import Warp, apply_warp, draw_warp

SHAPE, SPACING = (14, 12, 10), (2.0, 2.0, 4.0)


def a_warp(amplitude_mm: float, *, seed: int = 0) -> Warp:
    random = np.random.default_rng(seed)
    return draw_warp(random, shape=SHAPE, spacing=SPACING, amplitude_mm=amplitude_mm, scale_mm=10.0)


def a_shift(millimeters: tuple[float, float, float]) -> Warp:
    """Every control point moves alike, so every voxel does: splines sum to one."""
    control = np.ones((3, 8, 8, 8)) * np.array(millimeters)[:, None, None, None]
    return Warp(control, 10.0, SPACING)


def voxels() -> np.ndarray:
    return np.indices(SHAPE).reshape(3, -1).T


def test_no_amplitude_changes_nothing() -> None:
    volume = np.random.default_rng(1).integers(-1000, 1000, (2, *SHAPE)).astype(np.int16)
    warp = a_warp(0.0)
    np.testing.assert_array_equal(warp.places(voxels()), voxels())
    np.testing.assert_array_equal(apply_warp(volume, warp, outside=(-1024, 0)), volume)


def test_a_shift_is_a_shift_and_what_comes_in_is_from_outside() -> None:
    volume = np.random.default_rng(1).integers(-1000, 1000, (1, *SHAPE)).astype(np.int16)
    warp = a_shift((4.0, 0.0, -4.0))
    np.testing.assert_allclose(warp.places(np.array([[3, 5, 5]])), [[5, 5, 4]])
    warped = apply_warp(volume, warp, outside=(-1024,))
    np.testing.assert_array_equal(warped[0, :-2, :, 1:], volume[0, 2:, :, :-1])
    assert (warped[0, -2:] == -1024).all()
    assert (warped[0, :, :, 0] == -1024).all()


def test_half_a_voxel_is_interpolated_and_masks_stay_masks() -> None:
    ramp = np.broadcast_to(100 * np.arange(14)[:, None, None], SHAPE)[None].astype(np.int16)
    warp = a_shift((1.0, 0.0, 0.0))
    np.testing.assert_array_equal(apply_warp(ramp, warp, outside=(0,))[0, 3], 350)
    mask = (ramp > 600).astype(np.uint8)
    assert set(np.unique(apply_warp(mask, a_warp(4.0), outside=(0,), order=0))) == {0, 1}


def test_the_largest_amplitude_does_not_fold() -> None:
    for seed in range(10):
        places = a_warp(4.0, seed=seed).places(voxels()).reshape(*SHAPE, 3)
        inner = tuple(slice(0, n - 1) for n in SHAPE)
        slopes = np.stack([np.diff(places, axis=axis)[inner] for axis in range(3)], axis=-1)
        assert (np.linalg.det(slopes) > 0).all()


def test_voxels_move_by_a_third_of_the_amplitude() -> None:
    moved = np.concatenate(
        [(a_warp(4.0, seed=seed).places(voxels()) - voxels()) * SPACING for seed in range(30)]
    )
    assert np.sqrt((moved**2).sum(axis=1).mean()) == pytest.approx(0.33 * 4.0, rel=0.06)
    assert np.abs(moved).max() < 4.0


def test_what_could_fold_is_refused() -> None:
    with pytest.raises(ValueError, match=r"in \[0, 0.4 scale_mm\] = \[0, 4\].* got 5.0"):
        a_warp(5.0)
