from __future__ import annotations

from typing import Any

import numpy as np


def test_hip_bones_on_both_sides_below_and_shoulder_blades_above(torsos: list[Any]) -> None:
    for torso in torsos:
        bone = (torso.scan.volume > 280) & ~np.isin(torso.scan.labels, range(1, 12))
        places = np.argwhere(bone) @ torso.scan.affine[:3, :3].T + torso.scan.affine[:3, 3]
        places = places - (torso.center("spine")[0], 0, 0)
        hips = places[places[:, 2] < torso.center("kidney_right")[2] - 70]
        assert (hips[:, 0] > 40).sum() > 100
        assert (hips[:, 0] < -40).sum() > 100
        chest = places[places[:, 2] > torso.center("heart")[2] + 40]
        blades = chest[chest[:, 1] < torso.center("lungs")[1] - 20]
        assert (blades[:, 0] > 40).any()
        assert (blades[:, 0] < -40).any()
