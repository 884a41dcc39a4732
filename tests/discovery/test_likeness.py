"""Correlations over pairs, and floors that lie below words of the same place."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from patients_store import write_store

from selfscan.discovery.likeness import mean_correlation, measure_likeness, read_cube
from selfscan.discovery.recipe import DiscoveryRecipe
from selfscan.discovery.search import Embedded, find_words
from selfscan.scans.words import Box

RECIPE = DiscoveryRecipe(
    words=3, members=4, validation_members=2, size=(6, 8, 6), border=(0.1, 0.1, 0.1), margin=0
)


def test_the_mean_over_pairs_of_correlations() -> None:
    cubes = list(np.random.default_rng(0).normal(size=(5, 1, 3, 4, 2)).astype(np.float32))
    pairs = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in combinations(cubes, 2)]
    assert mean_correlation(cubes) == pytest.approx(np.mean(pairs), abs=1e-6)
    assert mean_correlation([cubes[0], 3 * cubes[0] + 1]) == pytest.approx(1)


def test_a_uniform_cube_correlates_with_nothing_and_one_cube_has_no_pair() -> None:
    cube = np.arange(8, dtype=np.float32).reshape(1, 2, 2, 2)
    assert mean_correlation([cube, np.full_like(cube, 0.3), cube]) == pytest.approx(1 / 3)
    assert np.isnan(mean_correlation([cube]))
    assert np.isnan(mean_correlation([]))


def test_words_are_measured_against_other_places_and_any_patients(tmp_path: Path) -> None:
    store = write_store(tmp_path)
    random = torch.Generator().manual_seed(0)
    training, validation = (
        Embedded(split, part, torch.randn(len(part), 8, generator=random))
        for split, part in (
            ("training", store.select(ids=store.ids[:10])),
            ("validation", store.select(ids=store.ids[10:])),
        )
    )
    words = find_words(training, validation, RECIPE, seed=0).words
    window = (-1000.0, 1000.0)
    found = measure_likeness(training, words, words[0], RECIPE, window_hu=window, seed=0)
    cubes = [
        read_cube(
            training, training.store.find(member.scan), member.box, RECIPE.size, window_hu=window
        )
        for member in words[0].members
        if member.split == "training"
    ]
    assert found.compared == 4
    assert found.members == pytest.approx(mean_correlation(cubes))
    assert found.any_patients == pytest.approx(found.members, abs=0.5)
    assert -1 <= found.other_places < 1
    alone = measure_likeness(training, words[:1], words[0], RECIPE, window_hu=window, seed=0)
    assert np.isnan(alone.other_places)
    assert alone.members == found.members


def test_a_cube_is_in_the_window_and_resized_where_it_covers_more(tmp_path: Path) -> None:
    store = write_store(tmp_path, scans=1)
    side = Embedded("training", store, torch.zeros(1, 2))
    cube = read_cube(side, 0, Box((0, 0, 0), (12, 8, 8)), (6, 8, 8), window_hu=(-1000, 1000))
    assert cube.shape == (1, 6, 8, 8)
    assert 0 <= cube.min() < cube.max() <= 1
