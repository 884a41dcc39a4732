"""The picture of a word: the middle slices of its members, patient by patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure as Canvas

from selfscan.evaluation.slices import (
    GAP,
    TITLE,
    WIDTH,
    Spacing,
    extent_mm,
    mosaic,
    show_slice,
    slices_through,
)

Array = npt.NDArray[Any]
_AXIAL, _CORONAL = 0, 1
_WIDEST = 1.2  # of a panel, in inches


@dataclass(frozen=True, eq=False)
class Shown:
    """One member.

    Attributes:
        title: Who it is.
        cube: Its voxels (X, Y, Z).
    """

    title: str
    cube: Array


def draw_word(members: Sequence[Shown], spacing: Spacing) -> Canvas:
    """A column a member; the axial slice through the middle above the coronal one.

    All share one gray scale, from the first to the 99th percentile of what is shown.
    """
    cuts = []
    for member in members:
        middle = [length // 2 for length in member.cube.shape]
        cuts.append(slices_through(member.cube, middle)[:2])
    low, high = np.percentile(
        np.concatenate([cut.ravel() for pair in cuts for cut in pair]), [1, 99]
    )
    extents = [extent_mm(cut, plane, spacing) for plane, cut in enumerate(cuts[0])]
    columns = len(members)
    wide = min((WIDTH - (columns - 1) * GAP) / columns, _WIDEST)
    scale = wide / extents[0][1]
    canvas, panels = mosaic(
        [wide] * columns,
        [scale * extent[3] for extent in extents],
        before=[0.0] + [GAP] * (columns - 1),
        above=[0.25, GAP],
    )
    for column, (member, pair) in enumerate(zip(members, cuts, strict=True)):
        for plane in (_AXIAL, _CORONAL):
            gray = np.clip((pair[plane] - low) / max(high - low, 1e-6), 0, 1)
            show_slice(panels[plane][column], gray, plane, spacing)
        panels[0][column].set_title(member.title, **TITLE, loc="center")
    return canvas
