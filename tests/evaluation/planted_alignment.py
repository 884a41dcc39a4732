"""Scores of pairs with a planted gain, for tables and pages."""

from __future__ import annotations

import numpy as np
import pandas as pd

from selfscan.evaluation.alignment_picture import AlignedPair

DICE = {"identity": 0.40, "affine only": 0.50, "warp": 0.60}


def planted_rows(pairs: int = 6, **dice: float) -> pd.DataFrame:
    """Two structures a pair; the first pairs share the patient `a`."""
    random = np.random.default_rng(0)
    rows = []
    for number in range(pairs):
        patients = ("a" if number < 2 else f"m{number}", f"f{number}")
        own = random.normal(0, 0.05)
        for arm, value in (DICE | dice).items():
            noise = random.normal(0, 0.01)
            rows += [
                {
                    "moving": f"scan-{patients[0]}",
                    "fixed": f"scan-{patients[1]}",
                    "moving_subject": patients[0],
                    "fixed_subject": patients[1],
                    "arm": arm,
                    "correlation": value / 2 + noise,
                    "folding": 0.001 if arm == "warp" else 0.0,
                    "label": label,
                    "structure": structure,
                    "dice": value + own + noise + lift,
                }
                for label, structure, lift in (
                    (1, "hippocampus_anterior", 0.1),
                    (2, "<tail>", -0.1),
                )
            ]
    return pd.DataFrame(rows)


def planted_pair(shape: tuple[int, int, int] = (40, 40, 20), *, fill: bool = False) -> AlignedPair:
    """A box of label 1 in the middle, or all over, that each arm puts a voxel nearer."""
    fixed = np.zeros(shape, np.uint8)
    middle = tuple(slice(n // 2 - 2, n // 2 + 3) for n in shape)
    fixed[... if fill else middle] = 1
    labels = {arm: np.roll(fixed, number - 2, axis=0) for number, arm in enumerate(DICE)}
    labels["fixed"] = fixed
    images = {name: it * np.float32(0.8) for name, it in labels.items()}
    return AlignedPair.cut(images, labels, spacing=(2.0, 2.0, 4.0), dice=DICE)
