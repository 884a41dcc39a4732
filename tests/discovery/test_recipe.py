from __future__ import annotations

from typing import Any

import pytest

from selfscan.discovery.recipe import DiscoveryRecipe, member_count


def test_the_published_constants() -> None:
    recipe = DiscoveryRecipe(frame="voxel")
    assert (recipe.words, recipe.members, recipe.validation_members) == (44, 200, 30)
    assert (recipe.size, recipe.borders, recipe.margin) == ((64, 64, 32), (100, 100, 30), 3)
    assert (recipe.min_distance, recipe.tries, recipe.most_tissue) == (5, 200, 0.15)
    assert (recipe.sides, recipe.shifts, recipe.jitter) == ((50, 79), (-10, 9), 2)
    assert recipe.tissue_hu == -1000 + 0.425 * 2000


def test_borders_of_a_body_are_the_same_shares() -> None:
    assert DiscoveryRecipe().borders == (100 / 512, 100 / 512, 30 / 200)
    assert DiscoveryRecipe(border=(0, 0.1, 0.2)).borders == (0, 0.1, 0.2)


@pytest.mark.parametrize(
    ("members", "patients", "count"), [(200, 445, 200), (1, 9, 1), (0.45, 445, 200), (0.01, 9, 1)]
)
def test_members_are_a_number_or_a_share(members: float, patients: int, count: int) -> None:
    assert member_count(members, patients) == count


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"words": 0}, "words must be at least 1, got 0"),
        ({"margin": -1}, "margin must be at least 0"),
        ({"members": 1.5}, "members must be a whole number, or a share between 0 and 1, got 1.5"),
        ({"validation_members": 0}, "validation_members must be a whole number"),
        ({"size": (8, 8, 0)}, "size must be three lengths"),
        ({"frame": "mm"}, "frame must be one of voxel, body, got 'mm'"),
        ({"references": "two"}, "references must be one of exclusive, shared"),
        ({"crop_filter": "lung"}, "crop_filter must be one of foreground_fraction, air_dominated"),
        ({"border": (0.5, 0, 0)}, "at least 0, and below 0.5 of the body"),
        ({"border": (-1, 0, 0), "frame": "voxel"}, "border must be three lengths of at least 0"),
        ({"min_distance": -1.0}, "min_distance must not be negative"),
        ({"foreground": (0.6, 0.5)}, "foreground must rise within 0 to 1"),
        ({"most_tissue": 2.0}, "most_tissue must be within 0 to 1"),
        ({"jitter_side": (9, 8)}, "jitter_side must rise from 1 or more"),
        ({"jitter_shift": (1, 0)}, "jitter_shift must rise"),
        ({"least_correlation": 1.1}, "least_correlation must be within -1 to 1"),
    ],
)
def test_values_without_a_meaning_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DiscoveryRecipe(**changes)
