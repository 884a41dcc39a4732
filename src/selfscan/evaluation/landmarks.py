"""Points that can be told in any patient without drawing them: the middles of labelled organs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from selfscan.training.frozen import Positions


def organ_middles(
    labels: npt.NDArray[Any], names: Mapping[int, str], spacing: tuple[float, float, float]
) -> dict[str, Positions]:
    """The voxel of each organ that lies nearest to the organ's centroid.

    The centroid itself may lie outside a bent organ, in tissue that says nothing of it; the same
    rule in both patients gives two points that an ideal embedding would match exactly.

    Args:
        labels: A label map (X, Y, Z).
        names: Names of the label values; 0 is the background.
        spacing: Size of a voxel, in mm.

    Returns:
        A voxel (3,) for each organ that is present, by name.
    """
    found = {}
    for value, name in names.items():
        voxels = np.argwhere(labels == value)
        if value and len(voxels):
            away = np.linalg.norm((voxels - voxels.mean(axis=0)) * spacing, axis=1)
            found[name] = voxels[away.argmin()]
    return found
