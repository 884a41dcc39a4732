"""Heads on one embedding a scan: logistic regression, a small network, and nearest neighbors."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

ScanHead = Literal["linear", "nonlinear", "knn"]
Array = npt.NDArray[Any]


def class_probabilities(
    head: ScanHead,
    features: Array,
    classes: npt.NDArray[np.int64],
    asked: Array,
    *,
    count: int,
    penalty: float,
    neighbors: int,
    seed: int,
) -> Array:
    """Fit a head on embeddings of labelled scans; give the probabilities of other scans' classes.

    Embeddings are standardized as those of the labelled scans are.

    Args:
        head: `linear` is logistic regression with classes weighted to count alike; `nonlinear` one
            hidden layer of 64; `knn` lets the nearest labelled scans vote, the nearer the more, by
            the cosine.
        features: Of the labelled scans, (N, F).
        classes: Of these, (N,).
        asked: Embeddings of other scans, (M, F).
        count: The number of classes, K; one that no labelled scan has is never given.
        penalty: Of the squared coefficients, against the summed loss.
        neighbors: That vote, as far as there are so many.
        seed: Of the hidden layer's weights and the order of scans.

    Returns:
        Shape (M, K).
    """
    models: dict[ScanHead, Any] = {
        "linear": LogisticRegression(
            C=1 / (2 * penalty), class_weight="balanced", max_iter=5000, tol=1e-6
        ),
        "nonlinear": MLPClassifier(
            hidden_layer_sizes=(64,),
            alpha=penalty / len(classes),
            max_iter=300,
            tol=0.0,
            n_iter_no_change=300,
            solver="adam",
            random_state=seed % 2**32,
        ),
        "knn": KNeighborsClassifier(
            min(neighbors, len(classes)), metric="cosine", weights="distance"
        ),
    }
    model = make_pipeline(StandardScaler(), models[head])
    with warnings.catch_warnings():
        if head == "nonlinear":  # trained for so many rounds, whether or not it still improves
            warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(features, classes)
    found = np.zeros((len(asked), count))
    found[:, model.classes_] = model.predict_proba(asked)
    return found
