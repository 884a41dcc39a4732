from __future__ import annotations

from typing import Any

import numpy as np

from selfscan.scans.phantom.canvas import PHANTOM_LABELS, Canvas
from selfscan.scans.phantom.patient import TISSUES
from selfscan.scans.phantom.tubes import AIRWAYS, GLANDS, MUSCLES, VESSELS, Tube, paint_tubes


def test_the_tables_name_known_tissues_and_labels() -> None:
    tubes = MUSCLES + VESSELS + GLANDS + AIRWAYS
    assert len({tube.name for tube in tubes}) == len(tubes)
    assert {tube.content for tube in tubes} <= set(TISSUES)
    assert {tube.wall for tube in tubes} - {None} <= set(TISSUES)
    assert {tube.label for tube in tubes} <= set(PHANTOM_LABELS.values())


def test_a_mirrored_tube_has_a_wall_on_both_sides(plain_canvas: Canvas) -> None:
    nodes = ((30.0, 0.0, -40.0, 8.0), (30.0, 0.0, 40.0, 8.0))
    tube = Tube("test", "water", nodes, label="aorta", wall="cartilage", mirrored=True)
    paint_tubes(np.random.default_rng(0), plain_canvas, [tube])
    right, left = plain_canvas.labels[20:], plain_canvas.labels[:20]
    assert (right == 3).sum() > 200
    assert (left == 3).sum() > 200
    middle = plain_canvas.hu[:, :, 16]
    assert (np.abs(middle - plain_canvas.tissues["water"].hu) < 15).any()


def test_the_aorta_runs_left_of_the_spine_and_down_to_the_fork(torsos: list[Any]) -> None:
    for torso in torsos:
        aorta, spine = torso.places("aorta"), torso.places("spine")
        low = aorta[aorta[:, 2] < 120]
        assert low[:, 0].mean() < spine[:, 0].mean()
        assert low[:, 1].mean() > spine[:, 1].mean()
        assert np.ptp(aorta[:, 2]) > 220
        # Blood is bright in contrast phases and like muscle without.
        assert 25 < np.median(torso.hu("aorta")) < 360
