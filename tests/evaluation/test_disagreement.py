from __future__ import annotations

import numpy as np
import pytest

from selfscan.evaluation.disagreement import changed, disagreement


def labels(*values: int) -> np.ndarray:
    return np.array(values, np.uint8).reshape(-1, 1, 1)


def test_equal_predictions_agree_and_empty_ones_too() -> None:
    one = labels(0, 1, 2, 2)
    assert disagreement([one, one, one], classes=3) == 0
    assert disagreement([labels(0, 0), labels(0, 0)], classes=3) == 0


def test_the_mean_over_pairs_and_classes_by_hand() -> None:
    # Class 1: Dice 1 with itself, 2 * 1 / (2 + 1) with the third, twice.
    first, third = labels(1, 1, 0), labels(1, 0, 0)
    expected = 1 - (1 + 2 / 3 + 2 / 3) / 3
    assert disagreement([first, first, third], classes=2) == pytest.approx(expected)
    # A class that only one of them has has Dice 0.
    assert disagreement([labels(0, 1), labels(0, 0)], classes=2) == 1


def test_changed_views_are_drawn_by_their_seed_and_keep_type_and_order() -> None:
    volume = np.random.default_rng(0).normal(0, 300, (1, 12, 12, 12)).astype(np.int16)
    one, again, other = (changed(volume, seed=seed) for seed in (1, 1, 2))
    assert one.dtype == np.int16
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()
    assert np.corrcoef(one.ravel(), volume.ravel())[0, 1] > 0.98


def test_extreme_values_stay_in_their_type() -> None:
    volume = np.array([-32_000, 32_000] * 4, np.int16).reshape(1, 2, 2, 2)
    found = [changed(volume, seed=seed) for seed in range(20)]
    assert all((np.sign(view) == np.sign(volume)).all() for view in found)
