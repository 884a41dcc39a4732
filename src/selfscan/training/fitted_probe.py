"""A head fitted on frozen features with the class prior put back: all that a probe segments by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from selfscan.scans.store import Store
from selfscan.training.frozen import FrozenBackbone
from selfscan.training.prior import choose_exponent, prior_correction
from selfscan.training.voxel_head import Classes, VoxelHead
from selfscan.training.voxel_sample import VoxelDraw, sample_features


@dataclass(frozen=True)
class FittedProbe:
    """A head on a frozen backbone.

    Attributes:
        frozen: The backbone.
        head: On its device.
        shift: What the prior adds to the logits, (K,).
        exponent: The share of the whole correction for the prior that `shift` is.
        dice: The mean Dice on the scans that chose the exponent.
    """

    frozen: FrozenBackbone
    head: VoxelHead
    shift: npt.NDArray[np.float32]
    exponent: float
    dice: float

    def segment(self, store: Store, i: int) -> npt.NDArray[Any]:
        """The label map (X, Y, Z) of a scan of a store."""
        logits = self.frozen.logits(self.head, store, i) + self.shift[:, None, None, None]
        labels: npt.NDArray[Any] = logits.argmax(0)
        return labels


def fit_probe(
    frozen: FrozenBackbone,
    train: Store,
    draw: VoxelDraw,
    fit: Callable[[Tensor, Classes], VoxelHead],
    *,
    judged: Store,
    visible: bool = True,
) -> FittedProbe:
    """Fit a head on drawn voxels, then choose how much of the class prior to put back.

    The head learns from few voxels of the background, which makes small structures look large.
    The prior is put back by adding e * (log prior - log share in the sample) to the logits.

    Args:
        frozen: The backbone.
        train: The labelled scans that the voxels are of.
        draw: The voxels.
        fit: From their features (N, F) and classes (N,) to a head.
        judged: Labelled scans whose mean Dice chooses e.
        visible: Whether progress is shown.
    """
    features = sample_features(frozen, train, draw, visible=visible)
    head = fit(features, draw.classes).to(frozen.fabric.device)
    correction = prior_correction(draw.prior, draw.share)
    logits = partial(frozen.logits, head, judged)
    exponent, dice = choose_exponent(logits, correction, judged, visible=visible)
    return FittedProbe(frozen, head, (exponent * correction).astype(np.float32), exponent, dice)
