"""Class priors put back after learning from a balanced sample."""

from __future__ import annotations

import numpy as np
import pytest
from labelled_store import write_store

from selfscan.scans.store import Store
from selfscan.training.prior import choose_exponent, prior_correction


def test_correction_by_hand() -> None:
    found = prior_correction(np.array([0.9, 0.1, 0.0]), np.array([0.5, 0.5, 0.0]))
    np.testing.assert_allclose(found, [np.log(1.8), np.log(0.2), 0.0])


def test_correction_turns_balanced_posteriors_into_true_ones() -> None:
    likelihood, prior = np.array([0.2, 0.7]), np.array([0.95, 0.05])
    balanced = np.log(likelihood * 0.5)
    corrected = np.exp(balanced + prior_correction(prior, np.array([0.5, 0.5])))
    expected = likelihood * prior / (likelihood * prior).sum()
    np.testing.assert_allclose(corrected / corrected.sum(), expected)


@pytest.mark.parametrize("wanted", [0.0, 0.4, 1.0])
def test_the_exponent_that_serves_dice_is_found(tmp_path, wanted: float) -> None:
    store = Store(write_store(tmp_path / "store")).select(splits=["train"])
    correction = np.array([2.0, -3.0, -1.0])

    def logits(i: int) -> np.ndarray:
        # Right by a margin of 0.11 after a shift of `wanted`, and wrong after any other.
        labels = store.read_labels(i)
        right = np.stack([(labels == label) * 0.11 for label in range(3)])
        return (right - wanted * correction[:, None, None, None]).astype(np.float32)

    exponent, dice = choose_exponent(logits, correction, store)
    assert exponent == pytest.approx(wanted)
    assert dice == pytest.approx(1.0)


def test_of_equal_exponents_the_least_is_taken(tmp_path) -> None:
    store = Store(write_store(tmp_path / "store")).select(splits=["validation"])

    def logits(i: int) -> np.ndarray:
        return np.stack([(store.read_labels(i) == k) * 99.0 for k in range(3)]).astype(np.float32)

    assert choose_exponent(logits, np.array([0.1, -0.1, 0.0]), store) == (0.0, 1.0)
