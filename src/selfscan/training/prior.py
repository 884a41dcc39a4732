"""Class priors put back: a head that saw as much of each class overrates the small ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from selfscan.metrics import dice_scores
from selfscan.progress import Progress
from selfscan.scans.store import Store

Floats = npt.NDArray[np.float64]
EXPONENTS = tuple(i / 10 for i in range(11))


def prior_correction(prior: Floats, share: Floats) -> Floats:
    """What turns logits learned at one share of classes into those of another: log(prior / share).

    Args:
        prior: Share of each class among all voxels, (K,).
        share: Share of each class among the voxels learned from, (K,); a class without any cannot
            be predicted and gets 0.

    Returns:
        What to add to the logits, (K,).
    """
    learned = share > 0
    return np.log(np.where(learned, prior, 1.0) / np.where(learned, share, 1.0))


def choose_exponent(
    logits: Callable[[int], npt.NDArray[np.float32]],
    correction: Floats,
    store: Store,
    *,
    visible: bool = True,
) -> tuple[float, float]:
    """How much of the correction to add: what gives the best mean Dice; the least of equals.

    The full correction is right for the share of voxels that are labelled rightly; Dice, which
    weighs all classes alike, mostly wants less.

    Args:
        logits: The head's logits (K, X, Y, Z) of a scan of the store, by its number.
        correction: From `prior_correction`.
        store: Labelled scans.
        visible: Whether progress is shown.

    Returns:
        The exponent, from 0 to 1, and the mean Dice it gives.
    """
    scores = np.full((len(EXPONENTS), len(store), len(correction) - 1), np.nan)
    with Progress("prior", total=len(store), unit="cases", visible=visible) as progress:
        for i in range(len(store)):
            truth, given = store.read_labels(i), logits(i)
            for row, exponent in zip(scores, EXPONENTS, strict=True):
                shift = (exponent * correction).astype(np.float32)
                found = (given + shift[:, None, None, None]).argmax(0)
                row[i] = dice_scores(found, truth, classes=len(correction))
            progress.advance()
    means = np.nanmean(scores, axis=2)
    dice = np.nanmean(means, axis=1)
    best = int(dice.argmax())
    return EXPONENTS[best], float(dice[best])
