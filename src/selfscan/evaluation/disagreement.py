"""Where a fine-tuned model contradicts itself: its predictions under changed intensities."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from selfscan.metrics import dice_scores
from selfscan.scans.store import Store
from selfscan.training.seeds import derive_seed
from selfscan.training.segmentation import Segmenter, Size, segment_volume

Volume = npt.NDArray[np.int16]
VIEWS = 4
_CONTRAST = 0.25  # of the factor on intensities, either way
_SHIFT, _NOISE = 0.1, 0.1  # of the standard deviation inside the scan


def disagreement(predictions: Sequence[npt.NDArray[Any]], *, classes: int) -> float:
    """One minus the mean Dice between all pairs of label maps (X, Y, Z); 0 where all are empty.

    Args:
        predictions: Two at least, of one scan.
        classes: K, with the background, which is left out.
    """
    scores = np.concatenate(
        [dice_scores(one, other, classes=classes) for one, other in combinations(predictions, 2)]
    )
    scored = scores[~np.isnan(scores)]
    return float(1 - scored.mean()) if len(scored) else 0.0


def changed(volume: Volume, *, seed: int) -> Volume:
    """A stored volume (C, X, Y, Z) with other contrast, brightness and noise."""
    random = np.random.default_rng(seed)
    mean, deviation = float(volume.mean()), float(volume.std())
    factor = 1 + random.uniform(-_CONTRAST, _CONTRAST)
    shift = random.uniform(-_SHIFT, _SHIFT) * deviation
    noise = random.standard_normal(volume.shape, dtype=np.float32) * (_NOISE * deviation)
    values = (volume - np.float32(mean)) * np.float32(factor) + np.float32(mean + shift) + noise
    limits = np.iinfo(np.int16)
    return np.asarray(np.clip(np.rint(values), limits.min, limits.max), dtype=np.int16)


def disagreement_of_scan(
    segmenter: Segmenter,
    store: Store,
    i: int,
    *,
    crop_size: Size,
    device: torch.device,
    views: int = VIEWS,
    seed: int = 0,
) -> float:
    """How much a model's predictions of a scan differ between changed views of it."""
    record = store[i]
    volume = store.read(i)
    predictions = []
    for view in range(views):
        seen = changed(volume, seed=derive_seed(seed, "view", record.id, view))
        probabilities = segment_volume(
            segmenter, seen, record.hounsfield, crop_size=crop_size, device=device
        )
        predictions.append(np.argmax(probabilities, axis=0).astype(np.uint8))
    return disagreement(predictions, classes=len(segmenter.label_names))
