from __future__ import annotations

from typing import Any

import numpy as np


def test_the_spine_is_a_column_at_the_back_from_end_to_end(torsos: list[Any]) -> None:
    for torso in torsos:
        spine = torso.places("spine")
        heights = np.unique(spine[:, 2].round(3))
        assert len(heights) > 0.9 * torso.scan.volume.shape[2]
        assert np.ptp([spine[spine[:, 2].round(3) == z, 0].mean() for z in heights]) < 45
        assert torso.center("spine")[1] < torso.center("liver")[1] - 20


def test_bodies_are_bone_and_the_canal_is_not(torsos: list[Any]) -> None:
    for torso in torsos:
        hu = torso.hu("spine")
        assert 200 < hu.mean() < 450
        assert np.quantile(hu, 0.9) > 400
        # Discs and marrow are much softer than the shell.
        assert np.quantile(hu, 0.1) < 200


def test_the_column_bends_forward_in_the_loin_and_backward_in_the_chest(
    torsos: list[Any],
) -> None:
    for torso in torsos:
        spine, loin, chest = torso.places("spine"), -80, 150
        front = [spine[np.abs(spine[:, 2] - z) < 8, 1].max() for z in (loin, chest)]
        assert front[0] > front[1] + 15
