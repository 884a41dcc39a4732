from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex
from planted_alignment import planted_pair

from selfscan.evaluation.alignment_picture import MOVED, TRUTH, draw_aligned


def test_slices_run_through_the_labels_of_the_fixed_scan() -> None:
    pair = planted_pair()
    axial, coronal, sagittal = pair.labels["fixed"]
    # 15 mm are 8 voxels of 2 mm and 4 of 4 mm around a box of 5.
    assert axial.shape == (21, 21)
    assert coronal.shape == sagittal.shape == (21, 13)
    assert axial.sum() == coronal.sum() == sagittal.sum() == 25
    assert pair.images["warp"][0].shape == axial.shape


def test_a_column_an_arm_and_one_for_the_fixed_scan() -> None:
    canvas = draw_aligned(planted_pair())
    assert [axes.get_title() for axes in canvas.axes[:4]] == [
        "moving, laid on it, Dice 0.40", "fixed", "affine only, Dice 0.50", "moved, Dice 0.60",
    ]  # fmt: skip
    assert len(canvas.axes) == 12
    for number, axes in enumerate(canvas.axes):
        colors = [to_hex(lines.get_edgecolor()[0]).upper() for lines in axes.collections]
        assert colors == ([TRUTH] if number % 4 == 1 else [TRUTH, MOVED])


@pytest.mark.parametrize("shape", [(40, 40, 20), (90, 30, 60), (20, 30, 90)])
def test_panels_share_one_scale_and_fit_the_page(shape: tuple[int, int, int]) -> None:
    canvas = draw_aligned(planted_pair(shape, fill=True))
    assert canvas.get_figwidth() <= 9.2
    assert canvas.get_figheight() <= 9.2
    scales = []
    for axes in canvas.axes:
        axes.apply_aspect()
        box, (left, right) = axes.get_position(), axes.get_xlim()
        scales.append(box.width * canvas.get_figwidth() / (right - left))
    np.testing.assert_allclose(scales, scales[0], rtol=1e-3)
