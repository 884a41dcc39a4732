from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from selfscan.scans.phantom.canvas import Canvas
from selfscan.scans.phantom.fields import Grid
from selfscan.scans.phantom.patient import Patient
from selfscan.scans.phantom.trunk import measure_trunk


def test_layers_lie_inside_each_other_and_the_right_dome_is_higher() -> None:
    random = np.random.default_rng(7)
    patient = Patient.drawn(random)
    grid = Grid((60, 46, 70), (7, 7, 8))
    points = np.stack(np.meshgrid(*grid.axes, indexing="ij"))
    canvas = Canvas(grid, points, np.zeros(grid.shape, np.float32), patient.tissues)
    trunk = measure_trunk(random, canvas, patient)
    assert (trunk.skin < trunk.wall).all()
    x, y, z = points
    right, left = (
        z[(np.abs(x - side) < 8) & (np.abs(y) < 8) & (trunk.diaphragm < 0)].max()
        for side in (60, -60)
    )
    assert right > left > 30

    tissues = patient.tissues
    row = canvas.hu[:, 23, 30]  # from the left flank to the right one, at the waist
    assert row[0] == tissues["air"].hu
    under_skin = row[(trunk.skin[:, 23, 30] < -9) & (trunk.skin[:, 23, 30] > -patient.fat_mm + 4)]
    assert (np.abs(under_skin - tissues["fat"].hu) < 40).all()
    np.testing.assert_allclose(trunk.angle[30, [0, -1], 30], [0, np.pi], atol=0.2)


def test_a_woman_has_breasts_of_fat_and_gland() -> None:
    grid = Grid((40, 40, 16), (8, 8, 8))
    points = np.stack(np.meshgrid(*grid.axes, indexing="ij"))
    points[2] += 105
    drawn = Patient.drawn(np.random.default_rng(1))
    depth = {}
    for female in (True, False):
        patient = replace(drawn, female=female)
        canvas = Canvas(grid, points, np.zeros(grid.shape, np.float32), patient.tissues)
        depth[female] = measure_trunk(np.random.default_rng(0), canvas, patient).skin
    more = depth[True] < depth[False] - 5
    assert more.any()
    assert points[1][more].min() > 0
    assert (points[0][more] > 0).mean() == pytest.approx(0.5, abs=0.1)
