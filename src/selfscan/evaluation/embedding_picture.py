"""The picture of embeddings: slices of several patients, gray and colored, kept and drawn."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure as Canvas

from selfscan.evaluation.page import PHOTO_DOTS, Plot, plot
from selfscan.evaluation.slices import (
    GAP,
    PLANES,
    TITLE,
    WIDTH,
    Spacing,
    extent_mm,
    mosaic,
    show_slice,
)
from selfscan.files import written_atomically

Array = npt.NDArray[Any]

_CAPTION = (
    "Each voxel of the body is colored by its embedding alone: the first three principal "
    "components, common to all patients, are red, green and blue. Look across a row: the same "
    "anatomy should have the same color in every patient, and other anatomy another color. Blocks "
    "are the cells of coarse levels; lines are where windows meet. The "
    "patient’s right is on the left; in the sagittal view the front is on the left."
)
EMBEDDINGS = "embeddings.npz"
_HEIGHT = 12.0  # of all panels of a column at most, in inches


@dataclass(frozen=True)
class ColoredScan:
    """One patient in three planes.

    Attributes:
        case: Its id.
        spacing: Distance of the points shown along (X, Y, Z), in mm.
        images: Gray values of a slice a plane, in [0, 1].
        colors: The same slices in color, (horizontal, vertical, 3), in [0, 1]; black outside.
    """

    case: str
    spacing: Spacing
    images: tuple[Array, ...]
    colors: tuple[Array, ...]


def save_colored(scans: Sequence[ColoredScan], path: Path) -> None:
    """Write one .npz file."""
    facts = [{"case": scan.case, "spacing": scan.spacing} for scan in scans]
    arrays: dict[str, Any] = {"facts": np.array(json.dumps(facts))}
    for scan in scans:
        for plane, image, color in zip(PLANES, scan.images, scan.colors, strict=True):
            arrays[f"{scan.case}/{plane}/image"] = np.rint(255 * image).astype(np.uint8)
            arrays[f"{scan.case}/{plane}/color"] = np.rint(255 * color).astype(np.uint8)
    with written_atomically(path) as temporary:
        np.savez_compressed(temporary, **arrays)


def load_colored(path: Path) -> list[ColoredScan]:
    """Read what `save_colored` wrote, to 1/255."""
    with np.load(path, allow_pickle=False) as arrays:
        return [
            ColoredScan(
                facts["case"],
                tuple(facts["spacing"]),
                *(
                    tuple(arrays[f"{facts['case']}/{plane}/{kind}"] / 255 for plane in PLANES)
                    for kind in ("image", "color")
                ),
            )
            for facts in json.loads(str(arrays["facts"]))
        ]


def draw_colored(scans: Sequence[ColoredScan]) -> Canvas:
    """A column a patient; for each plane a row of gray slices and below it one of colors."""
    extents = [
        [extent_mm(image, plane, scan.spacing) for plane, image in enumerate(scan.images)]
        for scan in scans
    ]
    widths = [max(right for _, right, _, _ in planes) for planes in extents]
    heights = [max(planes[plane][3] for planes in extents) for plane in range(len(PLANES))]
    gaps = [0.0] + [4 * GAP] * (len(scans) - 1)
    # Inches to a millimeter, the same in every panel; a few patients do not fill the page's width.
    scale = min((WIDTH - sum(gaps)) / sum(widths), _HEIGHT / (2 * sum(heights)))
    canvas, panels = mosaic(
        [scale * width for width in widths],
        [scale * height for height in heights for _ in range(2)],
        before=gaps,
        above=[0.3, GAP] + [4 * GAP, GAP] * (len(PLANES) - 1),
    )
    for column, scan in enumerate(scans):
        for plane in range(len(PLANES)):
            _, right, _, top = extents[column][plane]
            margin = (widths[column] - right) / 2
            for row, cuts in enumerate((scan.images, scan.colors)):
                axes = panels[2 * plane + row][column]
                show_slice(axes, cuts[plane], plane, scan.spacing)
                # A smaller slice stands in the middle of its panel, at its top.
                axes.set_xlim(-margin, right + margin)
                axes.set_ylim(top - heights[plane], top)
        panels[0][column].set_title(scan.case, **TITLE, loc="center")
    return canvas


def embedding_plot(scans: Sequence[ColoredScan], network: str) -> Plot:
    """The picture as a page holds it, with how to read it.

    Args:
        scans: What `color_scans` gave.
        network: Whose embeddings they are.
    """
    cases = ", ".join(scan.case for scan in scans)
    picture = plot(
        draw_colored(scans),
        alt=f"Embeddings of {network}, as colors beside the scans of {cases}, in three planes.",
        caption=f"Embeddings of {network}. {_CAPTION}",
        dots_per_inch=PHOTO_DOTS,
    )
    assert picture is not None
    return picture
