"""Where cubes may lie in a reference, and where a word lies in every other scan."""

from __future__ import annotations

import numpy as np
import pytest

from selfscan.discovery.places import Grids, Place, boxes_at, distance, place_of, start_ranges
from selfscan.discovery.recipe import DiscoveryRecipe
from selfscan.scans.words import Box

PUBLISHED = DiscoveryRecipe(frame="voxel", crop_filter="air_dominated")


def grids(
    *shapes: tuple[int, int, int],
    corner: tuple[int, int, int] = (0, 0, 0),
    spacings: tuple[tuple[float, float, float], ...] = (),
) -> Grids:
    all_shapes = np.array(shapes)
    corners = np.broadcast_to(np.array(corner), all_shapes.shape)
    around = np.array(spacings or ((1.0, 1.0, 1.0),) * len(shapes))
    return Grids(all_shapes, corners, all_shapes - corners, around)


@pytest.mark.parametrize(
    ("shape", "first", "last"),
    [
        ((512, 512, 200), (100, 100, 30), (347, 347, 134)),
        ((265, 265, 96), (100, 100, 30), (100, 100, 30)),
    ],
)
def test_the_published_ranges(
    shape: tuple[int, int, int], first: tuple[int, int, int], last: tuple[int, int, int]
) -> None:
    low, high = start_ranges(grids(shape), PUBLISHED)
    assert tuple(low[0]) == first
    assert tuple(high[0]) == last


@pytest.mark.parametrize("shape", [(265, 265, 95), (264, 265, 96), (265, 264, 96), (8, 8, 8)])
def test_a_scan_that_is_too_small_has_no_range(shape: tuple[int, int, int]) -> None:
    low, high = start_ranges(grids(shape), PUBLISHED)
    assert (high < low).any()


def test_the_ranges_of_a_body_are_shares_of_it() -> None:
    recipe = DiscoveryRecipe(size=(8, 8, 8), border=(0.1, 0.2, 0.25), margin=2)
    # A body of 40 x 30 x 40 voxels that starts at (10, 20, 0).
    low, high = start_ranges(grids((50, 50, 40), corner=(10, 20, 0)), recipe)
    assert tuple(low[0]) == (14, 26, 10)
    assert tuple(high[0]) == (46 - 8 - 1, 44 - 8 - 1, 30 - 8 - 1 - 2)


def test_a_word_lies_at_the_same_voxel_of_every_scan() -> None:
    some = grids((300, 300, 120), (280, 320, 60), spacings=((1, 1, 1), (2, 2, 2)))
    place = place_of(np.array([101, 120, 40]), some, 0, PUBLISHED)
    boxes = boxes_at(place, some, PUBLISHED)
    assert boxes.box(0) == boxes.box(1) == Box((101, 120, 40), (64, 64, 32))
    assert boxes.inside(some.shapes).tolist() == [True, False]


def test_a_word_lies_at_the_same_fraction_of_every_body() -> None:
    recipe = DiscoveryRecipe(size=(8, 8, 4))
    some = Grids(
        shapes=np.array([(50, 50, 40), (60, 90, 30)]),
        corners=np.array([(10, 10, 0), (0, 30, 10)]),
        bodies=np.array([(40, 40, 40), (60, 60, 20)]),
        spacings=np.ones((2, 3)),
    )
    place = place_of(np.array([16, 26, 8]), some, 0, recipe)  # its middle: (20, 30, 10)
    assert place.position == (0.25, 0.5, 0.25)
    boxes = boxes_at(place, some, recipe)
    assert boxes.box(0) == Box((16, 26, 8), (8, 8, 4))
    assert boxes.box(1) == Box((15 - 4, 60 - 4, 15 - 2), (8, 8, 4))


def test_in_the_reference_a_word_lies_where_it_was_drawn() -> None:
    random = np.random.default_rng(0)
    recipe = DiscoveryRecipe(size=(7, 8, 9))
    for _ in range(200):
        corner, body = random.integers(0, 30, 3), random.integers(20, 200, 3)
        some = Grids((corner + body)[None] + 5, corner[None], body[None], np.ones((1, 3)))
        start = corner + random.integers(0, body - 10)
        boxes = boxes_at(place_of(start, some, 0, recipe), some, recipe)
        assert np.array_equal(boxes.starts[0], start)


def test_a_word_covers_as_many_millimeters_in_scans_of_another_spacing() -> None:
    recipe = DiscoveryRecipe(size=(8, 8, 8))
    some = grids((40, 40, 40), (40, 40, 40), spacings=((1, 1, 2), (2, 1, 1)))
    place = place_of(np.array([16, 16, 16]), some, 0, recipe)
    boxes = boxes_at(place, some, recipe)
    assert boxes.box(0) == Box((16, 16, 16), (8, 8, 8))
    assert boxes.box(1) == Box((18, 16, 12), (4, 8, 16))
    assert boxes.zooms.tolist() == [[1, 1, 1], [0.5, 1, 2]]


def test_distances_are_in_voxels() -> None:
    bodies = np.array([(10, 20, 30), (30, 20, 10), (20, 20, 20)])
    one, other = (Place(at, (1, 1, 1)) for at in ((0.0, 0.5, 0.25), (0.15, 0.3, 0.25)))
    body = DiscoveryRecipe(frame="body")
    assert distance(one, other, bodies, body) == pytest.approx(5.0)
    assert (
        distance(Place((3, 4, 5), (1, 1, 1)), Place((0, 0, 5), (1, 1, 1)), bodies, PUBLISHED) == 5
    )
