"""Pictures of scans: cases with outlines, and what a method shows a network."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure as Canvas

from selfscan.evaluation.slices import (
    GAP,
    PLANES,
    TITLE,
    WIDTH,
    box_around,
    extent_mm,
    fullest_slices,
    mosaic,
    outline,
    show_slice,
    slices_through,
)
from selfscan.files import written_atomically

Array = npt.NDArray[Any]
FOLDER = "pictures"  # of a comparison, one file a role
ROLES = ("best", "median", "worst")
TRUTH, PREDICTION = "#56B4E9", "#E69F00"
_ROW_HEIGHT = 2.6  # in inches


@dataclass(frozen=True)
class Overlay:
    """One test case in three planes, small enough to keep beside the scores.

    Attributes:
        case: Its id.
        role: Why it is shown, such as `best`.
        spacing: Size of a voxel along (X, Y, Z), in mm.
        dice: Mean Dice of each arm in this case.
        images: A slice a plane, in [0, 1].
        truth: The true labels of these slices.
        predictions: For each arm, the predicted labels of these slices.
    """

    case: str
    role: str
    spacing: tuple[float, float, float]
    dice: dict[str, float]
    images: tuple[Array, ...]
    truth: tuple[Array, ...]
    predictions: dict[str, tuple[Array, ...]]

    @classmethod
    def cut(
        cls,
        image: Array,
        truth: Array,
        predictions: Mapping[str, Array],
        *,
        case: str,
        role: str,
        spacing: tuple[float, float, float],
        dice: Mapping[str, float],
    ) -> Overlay:
        """Take from volumes (X, Y, Z) the slices with most foreground, around the foreground."""
        box = box_around(truth > 0, margin_voxels=[35.0 / length for length in spacing])
        place = fullest_slices(truth[box] > 0)
        cuts = {arm: slices_through(labels[box], place) for arm, labels in predictions.items()}
        images, true = slices_through(image[box], place), slices_through(truth[box], place)
        return cls(case, role, spacing, dict(dice), images, true, cuts)

    def save(self, path: Path) -> None:
        """Write one .npz file."""
        facts = {"case": self.case, "role": self.role, "spacing": self.spacing, "dice": self.dice}
        arrays: dict[str, Any] = {"facts": np.array(json.dumps(facts))}
        for name, cuts in {"image": self.images, "truth": self.truth, **self.predictions}.items():
            arrays |= {f"{name}/{plane}": cut for plane, cut in zip(PLANES, cuts, strict=True)}
        with written_atomically(path) as temporary:
            np.savez_compressed(temporary, **arrays)

    @classmethod
    def load(cls, path: Path) -> Overlay:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            facts = json.loads(str(arrays["facts"]))
            cuts = {
                name: tuple(arrays[f"{name}/{plane}"] for plane in PLANES)
                for name in ("image", "truth", *facts["dice"])
            }
        images, truth = cuts.pop("image"), cuts.pop("truth")
        spacing = tuple(facts["spacing"])
        return cls(facts["case"], facts["role"], spacing, facts["dice"], images, truth, cuts)


def draw_overlay(overlay: Overlay) -> Canvas:
    """A row an arm, a column a plane; the true outline and the predicted one over the image."""
    arms = list(overlay.predictions)
    extents = [extent_mm(cut, plane, overlay.spacing) for plane, cut in enumerate(overlay.images)]
    widths, height = [extent[1] for extent in extents], max(extent[3] for extent in extents)
    # Inches to a millimeter, the same in every panel.
    scale = min((WIDTH - 2 * GAP) / sum(widths), _ROW_HEIGHT / height)
    canvas, panels = mosaic(
        [scale * width for width in widths],
        [scale * height] * len(arms),
        before=[0.0, GAP, GAP],
        above=[0.3] * len(arms),
    )
    for row, arm in zip(panels, arms, strict=True):
        for plane, axes in enumerate(row):
            show_slice(axes, overlay.images[plane], plane, overlay.spacing)
            # The truth is broad and below, so that it shows where both agree.
            truth, prediction = overlay.truth[plane], overlay.predictions[arm][plane]
            outline(axes, truth, plane, overlay.spacing, color=TRUTH, width=2.4)
            outline(axes, prediction, plane, overlay.spacing, color=PREDICTION, width=1.1)
        row[0].set_title(f"{arm}: mean Dice {overlay.dice[arm]:.3f}", **TITLE, loc="left")
    return canvas


def draw_examples(
    views: Mapping[str, Array], *, examples: int = 2, spacing: Sequence[float] = (1.0, 1.0, 1.0)
) -> Canvas:
    """What a method shows the network: a column a view, a row a plane, for the first examples.

    Args:
        views: Named volumes (B, C, X, Y, Z); the first channel is drawn.
        examples: How many of B.
        spacing: Size of a voxel, in mm, or in any common unit.
    """
    count = min(examples, *(len(volumes) for volumes in views.values()))
    spacing_mm = (float(spacing[0]), float(spacing[1]), float(spacing[2]))
    first = next(iter(views.values()))[0, 0]
    extents = [extent_mm(c, p, spacing_mm) for p, c in enumerate(slices_through(first, (0, 0, 0)))]
    columns, width = count * len(views), max(extent[1] for extent in extents)
    before = [0.0 if column == 0 else GAP for column in range(columns)]
    before[len(views) :: len(views)] = [4 * GAP] * (count - 1)
    scale = (WIDTH - sum(before)) / (columns * width)
    canvas, panels = mosaic(
        [scale * width] * columns,
        [scale * extent[3] for extent in extents],
        before=before,
        above=[0.3, GAP, GAP],
    )
    shown = [(name, volumes[i, 0]) for i in range(count) for name, volumes in views.items()]
    for column, (name, volume) in enumerate(shown):
        middle = [length // 2 for length in volume.shape]
        for plane, cut in enumerate(slices_through(volume.astype(np.float32), middle)):
            show_slice(panels[plane][column], cut, plane, spacing_mm)
        panels[0][column].set_title(name, **TITLE, loc="center")
    return canvas
