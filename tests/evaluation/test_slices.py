from __future__ import annotations

import numpy as np
import pytest

from selfscan.evaluation.slices import extent_mm, gray_values, hung, mosaic, slices_through


def test_ct_is_shown_in_a_soft_tissue_window_and_mr_whole() -> None:
    values = np.array([-1000, -200, 50, 300, 2000], np.int16)
    np.testing.assert_allclose(gray_values(values, hounsfield=True), [0, 0, 0.5, 1, 1])
    scaled = np.array([-50, 0, 5000, 10_000], np.int16)
    np.testing.assert_allclose(gray_values(scaled, hounsfield=False), [0, 0, 0.5, 1])


def test_slices_meet_in_the_voxel_and_hang_with_the_right_side_left() -> None:
    volume = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    axial, coronal, sagittal = slices_through(volume, (1, 2, 3))
    assert axial[1, 2] == coronal[1, 3] == sagittal[2, 3] == volume[1, 2, 3]
    np.testing.assert_array_equal(hung(axial)[0], volume[::-1, 0, 3])
    assert hung(np.zeros((5, 7, 3))).shape == (7, 5, 3)
    assert extent_mm(sagittal, 2, (1.0, 2.0, 5.0)) == (0.0, 6.0, 0.0, 20.0)


def test_panels_have_the_sizes_asked_for() -> None:
    canvas, panels = mosaic([2.0, 1.0], [1.0, 3.0], before=[0.0, 0.5], above=[0.5, 0.0])
    assert tuple(canvas.get_size_inches()) == (3.5, 4.5)
    box = panels[1][1].get_position()
    inches = (3.5 * box.x0, 4.5 * box.y0, 3.5 * box.width, 4.5 * box.height)
    assert inches == pytest.approx((2.5, 0.0, 1.0, 3.0))
