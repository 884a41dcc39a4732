from __future__ import annotations

import numpy as np
import pytest

from selfscan.scans.phantom.fields import Grid, fractal_field, smooth_field


def test_a_grid_is_centered_and_runs_right_anterior_superior() -> None:
    grid = Grid.covering((40.0, 30.0, 60.0), (4.0, 3.0, 5.0))
    assert grid.shape == (10, 10, 12)
    np.testing.assert_allclose(np.diag(grid.affine), [4, 3, 5, 1])
    np.testing.assert_allclose(grid.affine[:3, 3], [-18.0, -13.5, -27.5])
    np.testing.assert_allclose([axis.mean() for axis in grid.axes], 0, atol=1e-6)


@pytest.mark.parametrize(
    ("field_mm", "spacing_mm", "message"),
    [
        ((100.0, 100.0, 100.0), (2.0, 0.0, 2.0), "must be positive, got"),
        ((100.0, -1.0, 100.0), (2.0, 2.0, 2.0), "must be positive, got"),
        ((100.0, 100.0, 20.0), (2.0, 2.0, 5.0), r"has \(50, 50, 4\) voxels"),
    ],
)
def test_impossible_grids_are_refused(
    field_mm: tuple[float, float, float], spacing_mm: tuple[float, float, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Grid.covering(field_mm, spacing_mm)


def test_two_grids_sample_one_field() -> None:
    coarse = smooth_field(np.random.default_rng(1), Grid((9, 9, 9), (4, 4, 4)), scale_mm=17.0)
    fine = smooth_field(np.random.default_rng(1), Grid((17, 17, 17), (2, 2, 2)), scale_mm=17.0)
    np.testing.assert_allclose(fine[::2, ::2, ::2], coarse, atol=1e-5)


def test_fields_have_mean_0_and_variance_1() -> None:
    grid = Grid((60, 50, 70), (8, 8, 8))
    for field in (
        smooth_field(np.random.default_rng(2), grid, scale_mm=20.0),
        fractal_field(np.random.default_rng(3), grid, scales_mm=(16.0, 30.0)),
    ):
        assert field.dtype == np.float32
        assert field.shape == grid.shape
        assert abs(field.mean()) < 0.1
        assert 0.9 < field.std() < 1.1


def test_a_larger_scale_varies_more_slowly() -> None:
    grid = Grid((40, 40, 40), (4, 4, 4))
    fast, slow = (
        np.abs(np.diff(smooth_field(np.random.default_rng(4), grid, scale_mm=s), axis=0)).mean()
        for s in (10.0, 40.0)
    )
    assert 2.5 < fast / slow < 6
