from __future__ import annotations

import numpy as np
import pytest

from selfscan.scans.phantom.canvas import EVERYWHERE, PHANTOM_LABELS, Canvas
from selfscan.scans.phantom.fields import Grid
from selfscan.scans.phantom.patient import Patient
from selfscan.scans.phantom.shapes import Ellipsoid, cone, smooth_path
from selfscan.scans.phantom.tubes import VESSELS


def test_labels_count_up_from_the_background() -> None:
    assert list(PHANTOM_LABELS) == list(range(len(PHANTOM_LABELS)))
    assert PHANTOM_LABELS[0] == "background"
    assert len(set(PHANTOM_LABELS.values())) == len(PHANTOM_LABELS) >= 9


def test_a_painted_sphere_holds_its_volume_and_has_partial_volume_at_its_edge(
    plain_canvas: Canvas,
) -> None:
    window, distance = plain_canvas.ellipsoid(Ellipsoid((2, -3, 4), (21, 21, 21)))
    plain_canvas.paint(window, distance, "liver", label="liver")
    air, liver = (plain_canvas.tissues[name].hu for name in ("air", "liver"))
    share = (plain_canvas.hu - air) / (liver - air)
    expected = 4 / 3 * np.pi * 21**3
    assert share.sum() * 36 == pytest.approx(expected, rel=0.02)
    assert (plain_canvas.labels == 4).sum() * 36 == pytest.approx(expected, rel=0.03)
    assert ((share > 0.05) & (share < 0.95)).sum() > 100


def test_what_is_painted_later_lies_in_front(plain_canvas: Canvas) -> None:
    inside = np.full(plain_canvas.grid.shape, -10, np.float32)
    plain_canvas.paint(EVERYWHERE, inside, "liver", label="liver")
    half = plain_canvas.points[0] + np.float32(0.0)
    plain_canvas.paint(EVERYWHERE, half, "spleen", label="spleen")
    plain_canvas.paint(EVERYWHERE, inside, "water", within="spleen")
    assert np.unique(plain_canvas.labels).tolist() == [4, 5]
    assert plain_canvas.hu[0, 0, 0] == pytest.approx(plain_canvas.tissues["water"].hu)
    assert plain_canvas.hu[-1, 0, 0] == pytest.approx(plain_canvas.tissues["liver"].hu)


@pytest.fixture(scope="module")
def warped() -> Canvas:
    random = np.random.default_rng(3)
    patient, grid = Patient.drawn(random), Grid((42, 32, 56), (10, 10, 10))
    points = patient.points(random, grid)
    return Canvas(grid, points, np.zeros(grid.shape, np.float32), patient.tissues)


def test_windows_miss_no_voxel(warped: Canvas) -> None:
    random = np.random.default_rng(0)
    for _ in range(40):
        center, half = random.uniform(-1, 1, 3) * (150, 100, 250), random.uniform(3, 60, 3)
        offsets = np.abs(warped.points - center[:, None, None, None])
        inside = (offsets <= half[:, None, None, None]).all(axis=0)
        found = np.zeros_like(inside)
        found[warped.window(center - half, center + half)] = True
        assert not (inside & ~found).any()


def test_a_tube_is_the_union_of_its_cones(warped: Canvas) -> None:
    for tube in VESSELS[:4]:
        cones = smooth_path(tube.nodes)
        distance = warped.spread(*warped.tube(cones))
        slow = np.min([cone(warped.points, start, end) for start, end in cones], axis=0)
        near = slow < warped.edge_mm
        np.testing.assert_allclose(distance[near], slow[near], atol=1e-3)


def test_a_tube_outside_the_field_paints_nothing(plain_canvas: Canvas) -> None:
    window, distance = plain_canvas.tube(smooth_path([(900, 0, 0, 5), (900, 0, 50, 5)]))
    plain_canvas.paint(window, distance, "muscle", label="heart")
    assert not plain_canvas.labels.any()
