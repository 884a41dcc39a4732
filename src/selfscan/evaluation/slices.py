"""Slices as a radiologist hangs them: cut from a volume, laid out in panels, drawn to scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from selfscan.scans.contract import UNIT

Array = npt.NDArray[Any]
Spacing = tuple[float, float, float]
PLANES = ("axial", "coronal", "sagittal")
SOFT_TISSUE_HU = (-200.0, 300.0)
WIDTH, GAP = 9.1, 0.05  # of a figure, and between its panels, in inches
TITLE: dict[str, Any] = {"fontsize": 9, "color": "#222222"}


def gray_values(channel: npt.NDArray[np.int16], *, hounsfield: bool) -> npt.NDArray[np.float32]:
    """Gray values in [0, 1] of a stored channel: CT in a soft-tissue window."""
    low, high = SOFT_TISSUE_HU if hounsfield else (0.0, float(UNIT))
    gray: npt.NDArray[np.float32] = np.clip((channel - low) / (high - low), 0, 1).astype(np.float32)
    return gray


def slices_through(volume: Array, place: Sequence[int]) -> tuple[Array, ...]:
    """The axial, coronal and sagittal slice through a voxel, each (horizontal, vertical)."""
    x, y, z = place
    return volume[:, :, z], volume[:, y, :], volume[x, :, :]


def mosaic(
    widths: Sequence[float],
    heights: Sequence[float],
    *,
    before: Sequence[float],
    above: Sequence[float],
) -> tuple[Canvas, list[list[Axes]]]:
    """Panels by row, with free space before each column and above each row; all in inches."""
    width, height = sum(widths) + sum(before), sum(heights) + sum(above)
    canvas = Canvas(figsize=(width, height))
    panels = []
    for row, tall in enumerate(heights):
        bottom = height - sum(heights[: row + 1]) - sum(above[: row + 1])
        lefts = [sum(widths[:column]) + sum(before[: column + 1]) for column in range(len(widths))]
        panels.append(
            [
                canvas.add_axes((left / width, bottom / height, wide / width, tall / height))
                for left, wide in zip(lefts, widths, strict=True)
            ]
        )
    return canvas, panels


def show_slice(axes: Axes, cut: Array, plane: int, spacing: Spacing) -> None:
    """Draw a slice to scale: gray values (horizontal, vertical), or colors with a third axis."""
    extent = extent_mm(cut, plane, spacing)
    axes.imshow(
        hung(cut),
        cmap="gray",
        vmin=0,
        vmax=1,
        origin="lower",
        extent=extent,
        interpolation="bilinear",
    )
    axes.set_anchor("N")
    axes.set_axis_off()


def hung(cut: Array) -> Array:
    """Rows bottom to top; the patient's right, or front in the sagittal plane, on the left."""
    return cut[::-1].swapaxes(0, 1)


def extent_mm(cut: Array, plane: int, spacing: Spacing) -> tuple[float, float, float, float]:
    """Left, right, bottom and top edge of a slice, in mm."""
    across, up = ((0, 1), (0, 2), (1, 2))[plane]
    return 0.0, cut.shape[0] * spacing[across], 0.0, cut.shape[1] * spacing[up]


def outline(
    axes: Axes,
    labels: Array,
    plane: int,
    spacing: tuple[float, float, float],
    *,
    color: str,
    width: float,
) -> None:
    """Draw the borders of the labels of a slice over it."""
    shown = hung(labels)
    left, right, bottom, top = extent_mm(labels, plane, spacing)
    x = (np.arange(shown.shape[1]) + 0.5) / shown.shape[1] * (right - left) + left
    y = (np.arange(shown.shape[0]) + 0.5) / shown.shape[0] * (top - bottom) + bottom
    for label in np.unique(shown[shown > 0]):
        axes.contour(
            x,
            y,
            (shown == label).astype(np.float32),
            levels=[0.5],
            colors=[color],
            linewidths=width,
        )


def fullest_slices(mask: Array) -> tuple[int, int, int]:
    """For each axis the position with most true voxels."""
    areas = [mask.sum(axis=tuple(a for a in range(3) if a != axis)) for axis in range(3)]
    return int(areas[0].argmax()), int(areas[1].argmax()), int(areas[2].argmax())


def box_around(mask: Array, *, margin_voxels: Sequence[float]) -> tuple[slice, ...]:
    """The box of the true voxels and a margin, within the volume; all of it where none is true."""
    box = []
    for axis, margin in enumerate(margin_voxels):
        inside = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        first, last = (int(inside[0]), int(inside[-1])) if len(inside) else (0, mask.shape[axis])
        box.append(slice(max(first - round(margin), 0), last + round(margin) + 1))
    return tuple(box)
