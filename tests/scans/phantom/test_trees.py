from __future__ import annotations

from typing import Any

import numpy as np

from selfscan.scans.phantom.canvas import EVERYWHERE, Canvas
from selfscan.scans.phantom.trees import GENERATIONS, TREES, paint_twigs


def test_each_branch_splits_in_two_thinner_ones() -> None:
    cones = TREES[0].grown(np.random.default_rng(0))
    assert len(cones) == 2**GENERATIONS - 1
    np.testing.assert_allclose(cones[0, 0, :3], TREES[0].root)
    ends = {tuple(end) for end in cones[:, 1, :3].round(3).tolist()}
    starts = [tuple(start) for start in cones[1:, 0, :3].round(3).tolist()]
    assert set(starts) <= ends
    assert all(starts.count(start) == 2 for start in set(starts))
    assert cones[:, 0, 3].max() == cones[0, 0, 3]
    assert cones[-1, 1, 3] < 1.0


def test_the_trees_of_the_lungs_stay_in_them_and_are_bright(torsos: list[Any]) -> None:
    for torso in torsos:
        lungs = torso.hu("lungs")
        assert 0.002 < (lungs > -500).mean() < 0.12


def test_twigs_are_thin_and_many(plain_canvas: Canvas) -> None:
    everywhere = np.full(plain_canvas.grid.shape, -9, np.float32)
    plain_canvas.paint(EVERYWHERE, everywhere, "lung", label="lungs")
    paint_twigs(
        np.random.default_rng(0),
        plain_canvas,
        "venous blood",
        within="lungs",
        radius_mm=1.0,
        scale_mm=15.0,
    )
    bright = plain_canvas.hu > -600
    assert 0.005 < bright.mean() < 0.2
