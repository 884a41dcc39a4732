from __future__ import annotations

from typing import Any

import numpy as np
from scipy.ndimage import label


def test_ribs_are_dots_around_the_lungs(torsos: list[Any]) -> None:
    for torso in torsos:
        height = round(torso.center("heart")[2] / 6 + (torso.scan.volume.shape[2] - 1) / 2)
        ribs, lungs = torso.mask("ribs")[:, :, height], torso.mask("lungs")[:, :, height]
        assert 6 <= label(ribs)[1] <= 24
        places, inner = np.argwhere(ribs), np.argwhere(lungs)
        assert places[:, 0].min() < inner[:, 0].min()
        assert places[:, 0].max() > inner[:, 0].max()
        middle = inner.mean(axis=0)
        assert ((places - middle)[:, 0] > 0).mean() > 0.3
        assert ((places - middle)[:, 0] < 0).mean() > 0.3


def test_ribs_are_bone_from_the_top_of_the_lung_to_the_kidneys(torsos: list[Any]) -> None:
    for torso in torsos:
        assert 250 < np.median(torso.hu("ribs")) < 600
        ribs = torso.places("ribs")
        assert ribs[:, 2].max() > torso.places("lungs")[:, 2].max() - 30
        assert ribs[:, 2].min() < torso.center("kidney_left")[2] + 20


def test_ribs_slope_down_to_the_front(torsos: list[Any]) -> None:
    for torso in torsos:
        ribs, middle = torso.places("ribs"), torso.center("spine")
        back = ribs[ribs[:, 1] < middle[1]]
        front = ribs[ribs[:, 1] > torso.center("liver")[1] + 20]
        assert np.median(front[:, 2]) < np.median(back[:, 2]) + 40
        assert front[:, 2].max() < back[:, 2].max() - 20
