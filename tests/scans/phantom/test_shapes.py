from __future__ import annotations

import numpy as np
import pytest

from selfscan.scans.phantom.shapes import (
    Ellipsoid,
    cone,
    smooth_intersection,
    smooth_path,
    smooth_union,
)


def _points(*places: tuple[float, float, float]) -> np.ndarray:
    return np.array(places, dtype=np.float32).T[:, :, None, None]


def test_the_distance_to_a_sphere_is_exact() -> None:
    sphere = Ellipsoid((10, 0, 0), (5, 5, 5), (20, 30, 40))
    distance = sphere.distance(_points((10, 0, 8), (10, 5, 0), (13, 0, 0)))
    np.testing.assert_allclose(distance.ravel(), [3, 0, -2], atol=1e-4)


def test_a_tilt_about_the_long_axis_of_the_body_turns_right_to_front() -> None:
    turned = Ellipsoid((0, 0, 0), (20, 5, 5), (0, 0, 90))
    distance = turned.distance(_points((0, 20, 0), (5, 0, 0), (20, 0, 0)))
    np.testing.assert_allclose(distance.ravel()[:2], 0, atol=1e-4)
    assert distance.ravel()[2] > 5
    np.testing.assert_allclose(turned.box[1], [5, 20, 5], atol=1e-6)


def test_a_mirrored_organ_lies_on_the_other_side() -> None:
    organ = Ellipsoid((30, 4, -7), (9, 14, 22), (10, -20, 35))
    places = np.random.default_rng(0).normal(0, 30, (3, 50, 1, 1)).astype(np.float32)
    mirrored = places * np.array([-1, 1, 1], dtype=np.float32)[:, None, None, None]
    np.testing.assert_allclose(
        organ.mirrored().distance(mirrored), organ.distance(places), atol=1e-3
    )


def test_organs_vary_around_the_usual() -> None:
    usual = Ellipsoid((30, 0, 0), (10, 20, 30), (0, 0, 15))
    random = np.random.default_rng(0)
    drawn = [usual.varied(random) for _ in range(200)]
    np.testing.assert_allclose(np.mean([o.center for o in drawn], axis=0), usual.center, atol=1)
    np.testing.assert_allclose(np.mean([o.radii for o in drawn], axis=0), usual.radii, rtol=0.03)
    assert np.std([o.center for o in drawn], axis=0) == pytest.approx([3, 3, 3], rel=0.2)


def test_a_cone_by_hand() -> None:
    start, end = np.float32([0, 0, 0, 2]), np.float32([10, 0, 0, 4])
    distance = cone(_points((0, 5, 0), (5, 5, 0), (13, 0, 0), (-4, 3, 0)), start, end)
    np.testing.assert_allclose(distance.ravel(), [3, 2, -1, 3], atol=1e-5)


def test_a_path_passes_its_nodes_and_has_no_gaps() -> None:
    nodes = np.array([(0, 0, 0, 5), (30, 10, 0, 8), (60, 0, 20, 3)], dtype=float)
    cones = smooth_path(nodes, step_mm=3)
    np.testing.assert_allclose(cones[0, 0], nodes[0], atol=1e-5)
    np.testing.assert_allclose(cones[-1, 1], nodes[-1], atol=1e-5)
    np.testing.assert_array_equal(cones[1:, 0], cones[:-1, 1])
    assert np.abs(cones.reshape(-1, 4) - nodes[1]).max(axis=1).min() < 3


def test_fillets_only_add_and_rounded_edges_only_take() -> None:
    first, second = np.random.default_rng(0).normal(0, 10, (2, 1000)).astype(np.float32)
    union = smooth_union(first, second, blend_mm=6)
    both = smooth_intersection(first, second, blend_mm=6)
    apart = np.abs(first - second) > 6
    assert (union <= np.minimum(first, second)).all()
    assert (both >= np.maximum(first, second)).all()
    np.testing.assert_array_equal(union[apart], np.minimum(first, second)[apart])
    np.testing.assert_array_equal(both[apart], np.maximum(first, second)[apart])
    np.testing.assert_allclose(smooth_union(np.zeros(1), np.zeros(1), blend_mm=6), -1.5)
