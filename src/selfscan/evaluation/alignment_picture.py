"""The picture of an alignment: the moving scan before and after, beside the fixed one, outlined."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
from matplotlib.figure import Figure as Canvas

from selfscan.evaluation.alignment import AFFINE, IDENTITY, WARP
from selfscan.evaluation.pictures import PREDICTION as MOVED
from selfscan.evaluation.pictures import TRUTH
from selfscan.evaluation.slices import (
    GAP,
    PLANES,
    TITLE,
    WIDTH,
    Spacing,
    box_around,
    extent_mm,
    fullest_slices,
    mosaic,
    outline,
    show_slice,
    slices_through,
)

Array = npt.NDArray[Any]
FIXED = "fixed"
_COLUMNS = {IDENTITY: "moving, laid on it", FIXED: "fixed", AFFINE: "affine only", WARP: "moved"}
_MARGIN_MM = 15.0
_HEIGHT = 8.5  # of all panels of a column at most, in inches


@dataclass(frozen=True, eq=False)
class AlignedPair:
    """Slices of the fixed scan, and of the moving one as each arm lays it on that.

    Attributes:
        spacing: Size of the fixed scan's voxels, in mm.
        images: Three slices each, in [0, 1], by arm; those of the fixed scan as `fixed`.
        labels: Their labels, likewise.
        dice: Mean Dice by arm.
    """

    spacing: Spacing
    images: dict[str, tuple[Array, ...]]
    labels: dict[str, tuple[Array, ...]]
    dice: dict[str, float]

    @classmethod
    def cut(
        cls,
        images: Mapping[str, Array],
        labels: Mapping[str, Array],
        *,
        spacing: Spacing,
        dice: Mapping[str, float],
    ) -> AlignedPair:
        """Take the slices with most labels of the fixed scan, around these, from volumes."""
        truth = labels[FIXED] > 0
        box = box_around(truth, margin_voxels=[_MARGIN_MM / length for length in spacing])
        place = fullest_slices(truth[box])
        images_cut, labels_cut = (
            {name: slices_through(volume[box], place) for name, volume in volumes.items()}
            for volumes in (images, labels)
        )
        return cls(spacing, images_cut, labels_cut, dict(dice))


def draw_aligned(pair: AlignedPair) -> Canvas:
    """A column an arm and one for the fixed scan, a row a plane; its labels over each."""
    extents = [extent_mm(cut, plane, pair.spacing) for plane, cut in enumerate(pair.images[FIXED])]
    columns, width = len(_COLUMNS), max(extent[1] for extent in extents)
    heights = [extent[3] for extent in extents]
    # Inches to a millimeter, the same in every panel.
    scale = min((WIDTH - (columns - 1) * GAP) / (columns * width), _HEIGHT / sum(heights))
    canvas, panels = mosaic(
        [scale * width] * columns,
        [scale * height for height in heights],
        before=[0.0] + [GAP] * (columns - 1),
        above=[0.3, GAP, GAP],
    )
    for column, (name, title) in enumerate(_COLUMNS.items()):
        for plane in range(len(PLANES)):
            axes = panels[plane][column]
            show_slice(axes, pair.images[name][plane], plane, pair.spacing)
            # The fixed scan's are broad and below, so that they show where both agree.
            truth, moved = pair.labels[FIXED][plane], pair.labels[name][plane]
            outline(axes, truth, plane, pair.spacing, color=TRUTH, width=2.0)
            if name != FIXED:
                outline(axes, moved, plane, pair.spacing, color=MOVED, width=1.1)
        score = "" if name == FIXED else f", Dice {pair.dice[name]:.2f}"
        panels[0][column].set_title(title + score, **TITLE, loc="center")
    return canvas
