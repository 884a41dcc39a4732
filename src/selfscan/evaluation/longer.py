"""The honest rival of pre-training: training from scratch for as much longer."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from selfscan.checkpoints.checkpoint import Checkpoint
from selfscan.errors import SelfscanError
from selfscan.scans.store import Store
from selfscan.training.finetune import FinetuneRecipe
from selfscan.training.start import Start


def extra_steps(starts: Sequence[Start], recipe: FinetuneRecipe, store: Store) -> int:
    """Steps of fine-tuning that see as many voxels as the longest pre-training did.

    Args:
        starts: Of the arms.
        recipe: Of fine-tuning; its crop size is set.
        store: Scans to draw an example of each method from.

    Raises:
        SelfscanError: No checkpoint says how long its pre-training was.
    """
    found = [start.checkpoint for start in starts if start.checkpoint]
    seen = [one.steps * voxels_a_step(one, store) for one in found if one.method]
    if not seen or recipe.crop_size is None:
        raise SelfscanError(
            "found no pre-training run among the checkpoints; expected one to say how much longer "
            "to train from scratch; leave out --long"
        )
    crops = recipe.batch_size * recipe.accumulate * recipe.crops_per_scan
    return max(seen) // (crops * prod(recipe.crop_size))


def voxels_a_step(checkpoint: Checkpoint, store: Store) -> int:
    """Voxels that passed the network in one step of pre-training, each view of a crop counted.

    One device without accumulation is taken for granted: a checkpoint does not say more.
    """
    assert checkpoint.method is not None
    method = checkpoint.method.build(checkpoint.backbone.build(checkpoint.in_channels))
    crops = len(method.crops.draw(store, np.random.default_rng(0)).crops)
    rows = sum(len(rows) for rows in method.shown_crops(crops))
    return checkpoint.method.batch_size * rows * prod(checkpoint.crop_size)
