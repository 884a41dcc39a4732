"""How much of the crops lies outside the scans: too much, and a network learns of padding."""

from __future__ import annotations

import numpy as np

from selfscan.scans.crops import CropPolicy
from selfscan.scans.store import Store


def padded_share(store: Store, policy: CropPolicy, *, seed: int, examples: int = 32) -> float:
    """The mean share of a crop that sticks out of its scan, over so many examples."""
    shares = []
    for number in range(examples):
        for crop in policy.draw(store, np.random.default_rng([seed, number])).crops:
            start, covered = np.array(crop.start), np.array(crop.covered)
            past = np.minimum(start + covered, store.shape(crop.scan))
            inside = np.clip(past - np.maximum(start, 0), 0, None)
            shares.append(1 - float(np.prod(inside / covered)))
    return float(np.mean(shares))
