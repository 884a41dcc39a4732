from __future__ import annotations

import numpy as np
import pytest

from selfscan.training.scan_heads import ScanHead, class_probabilities


def fitted(head: ScanHead, *, classes: int = 3, count: int = 4, seed: int = 0) -> np.ndarray:
    """Groups of embeddings around places far apart; of each group three more are asked about."""
    random = np.random.default_rng(0)
    middles = random.normal(0, 4, (classes, 6)) + 10
    truth = np.arange(8 * classes) % classes
    learned = middles[truth] + random.normal(0, 0.5, (len(truth), 6))
    asked = middles.repeat(3, axis=0) + random.normal(0, 0.5, (3 * classes, 6))
    return class_probabilities(
        head, learned, truth, asked, count=count, penalty=1.0, neighbors=3, seed=seed
    )


@pytest.mark.parametrize("head", ["linear", "nonlinear", "knn"])
def test_groups_are_told_apart_and_an_unseen_class_is_never_given(head: ScanHead) -> None:
    found = fitted(head)
    assert found.shape == (9, 4)
    assert found.sum(axis=1) == pytest.approx(1)
    assert list(found.argmax(axis=1)) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert (found[:, 3] == 0).all()


def test_seeds_decide_the_hidden_layer_alone() -> None:
    assert (fitted("nonlinear") == fitted("nonlinear")).all()
    assert (fitted("nonlinear", seed=1) != fitted("nonlinear")).any()
    assert (fitted("linear", seed=1) == fitted("linear")).all()


def test_neighbors_are_as_many_as_there_are() -> None:
    found = class_probabilities(
        "knn",
        np.array([[1.0, 0.0], [0.0, 1.0]]),
        np.array([0, 1]),
        np.array([[1.0, 0.1]]),
        count=2,
        penalty=1.0,
        neighbors=9,
        seed=0,
    )
    # Standardized, the cosines to the two are 0.9939 and -0.9939; a vote weighs 1 / (1 - cosine).
    assert found.tolist()[0] == pytest.approx([0.99694, 0.00306], abs=1e-5)
