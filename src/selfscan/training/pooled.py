"""One embedding a scan: the mean over voxels of its body of what a frozen backbone gives them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from selfscan.progress import Progress
from selfscan.scans.store import Store
from selfscan.training.frozen import FrozenBackbone
from selfscan.training.seeds import derive_seed


def pooled_features(
    frozen: FrozenBackbone, store: Store, *, voxels: int = 2000, seed: int = 0
) -> Tensor:
    """Average the features of voxels drawn from each scan's foreground.

    Args:
        frozen: The backbone.
        store: N scans.
        voxels: Drawn from each, or all where there are fewer.
        seed: Of the draw, which depends on the scan's id and not on its place.

    Returns:
        Shape (N, F), float32, in main memory.
    """
    found = []
    with Progress("embed", total=len(store), unit="scans") as progress:
        for i, record in enumerate(store):
            foreground = store.read_foreground(i)
            inside = np.flatnonzero(foreground)
            random = np.random.default_rng(derive_seed(seed, "pooled", record.id))
            drawn = random.choice(inside, min(voxels, len(inside)), replace=False)
            places = np.stack(np.unravel_index(np.sort(drawn), foreground.shape), axis=1)
            found.append(frozen.features(store, i, places).mean(dim=0))
            progress.advance()
    return torch.stack(found)
