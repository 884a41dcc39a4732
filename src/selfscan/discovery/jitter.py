"""Jittered boxes: a word's place in a scan, shifted and scaled a little; drawn once, then kept."""

from __future__ import annotations

import numpy as np

from selfscan.discovery.recipe import DiscoveryRecipe
from selfscan.scans.record import Voxel
from selfscan.scans.words import Box
from selfscan.training.seeds import derive_seed

_ROUNDS, _DRAWS = 125, 8  # rounds, and draws in each


def draw_jitter(
    box: Box,
    shape: Voxel,
    zoom: tuple[float, float, float],
    recipe: DiscoveryRecipe,
    *,
    seed: int,
    key: tuple[int, str, int],
) -> Box | None:
    """One jittered box that lies inside the scan; None where 1,000 draws give none.

    Its edge along X and the shifts along X and Y are uniform, both ends included, and all three are
    drawn anew until the box lies inside. Z stays as it is.

    Args:
        box: The place as it was found.
        shape: Of the scan.
        zoom: Voxels of the scan to one of the reference, along (X, Y, Z).
        recipe: Ranges of edge and shift.
        seed: Of the run.
        key: Word, scan id and copy: equal keys give equal boxes, whatever else was drawn.
    """
    random = np.random.default_rng(derive_seed(seed, "jitter", *key))
    for _ in range(_ROUNDS):
        side = random.integers(*recipe.sides, _DRAWS, endpoint=True)
        shift = random.integers(*recipe.shifts, (_DRAWS, 2), endpoint=True)
        edges = np.stack([side, side * recipe.size[1] / recipe.size[0]], axis=1)
        extents = np.maximum(np.rint(edges * zoom[:2]), 1).astype(np.int64)
        starts = np.rint(np.array(box.start[:2]) + shift * zoom[:2]).astype(np.int64)
        inside = np.flatnonzero(((starts >= 0) & (starts + extents <= shape[:2])).all(axis=1))
        if len(inside):
            (x, y), (wide, tall) = starts[inside[0]].tolist(), extents[inside[0]].tolist()
            return Box((x, y, box.start[2]), (wide, tall, box.extent[2]))
    return None
