"""A smooth random warp of a scan, known exactly: where each voxel of the warped scan came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import map_coordinates

Array = npt.NDArray[Any]
Spacing = tuple[float, float, float]

# A cubic B-spline whose control points move by less than this share of their distance never folds.
# Choi and Lee, "Injectivity conditions of 2D and 3D uniform cubic B-spline functions", 2000.
_LARGEST_SHARE = 0.4


@dataclass(frozen=True)
class Warp:
    """Control points of a cubic B-spline over a scan.

    Attributes:
        control: Displacement of each control point, in mm, (3, A, B, C).
        scale_mm: Distance of control points.
        spacing: Size of the scan's voxels, in mm.
    """

    control: npt.NDArray[np.float64]
    scale_mm: float
    spacing: Spacing

    def places(self, voxels: Array) -> npt.NDArray[np.float64]:
        """Where voxels (N, 3) of the warped scan lie in the original, in its voxels, (N, 3)."""
        # The lattice begins one point before the first voxel, as far as a spline reaches back.
        on_lattice = voxels * np.array(self.spacing) / self.scale_mm + 1
        moved_mm = [
            map_coordinates(part, on_lattice.T, order=3, prefilter=False) for part in self.control
        ]
        places: npt.NDArray[np.float64] = voxels + np.stack(moved_mm, axis=1) / self.spacing
        return places


def draw_warp(
    random: np.random.Generator,
    *,
    shape: Sequence[int],
    spacing: Spacing,
    amplitude_mm: float,
    scale_mm: float,
) -> Warp:
    """Draw a warp: control points move along each axis by up to the amplitude, either way.

    A voxel moves less, as a spline averages its control points: by 0.33 amplitudes (root mean
    square).

    Args:
        random: Where the draws come from.
        shape: Voxels of the scan along (X, Y, Z).
        spacing: Size of a voxel, in mm.
        amplitude_mm: Largest displacement along an axis.
        scale_mm: Distance of control points.

    Raises:
        ValueError: The warp could fold.
    """
    check_warp(amplitude_mm, scale_mm)
    points = [int((n - 1) * s / scale_mm) + 4 for n, s in zip(shape, spacing, strict=True)]
    return Warp(random.uniform(-amplitude_mm, amplitude_mm, (3, *points)), scale_mm, spacing)


def check_warp(amplitude_mm: float, scale_mm: float) -> None:
    """Refuse a warp that could fold, with a ValueError."""
    if not 0 <= amplitude_mm <= _LARGEST_SHARE * scale_mm:
        raise ValueError(
            f"amplitude_mm must lie in [0, {_LARGEST_SHARE:g} scale_mm] = "
            f"[0, {_LARGEST_SHARE * scale_mm:g}], so that nothing folds, got {amplitude_mm}"
        )


def apply_warp(volume: Array, warp: Warp, *, outside: Sequence[float], order: int = 1) -> Array:
    """Warp a volume, with one interpolation.

    Args:
        volume: Shape (C, X, Y, Z).
        warp: Drawn for its shape and spacing.
        outside: What lies around each channel.
        order: 1 interpolates linearly, 0 takes the nearest voxel, as masks need.
    """
    warped = np.empty_like(volume)
    whole_numbers = np.issubdtype(volume.dtype, np.integer)
    # Slice by slice, as the places of all voxels would take more memory than the scan.
    first_slice = np.stack(np.meshgrid(0, *map(np.arange, volume.shape[2:]), indexing="ij"), -1)
    for x in range(volume.shape[1]):
        places = warp.places(first_slice.reshape(-1, 3) + np.array([x, 0, 0])).T
        for channel, around, result in zip(volume, outside, warped, strict=True):
            values = map_coordinates(channel, places, np.float32, order, "grid-constant", around)
            result[x] = (np.rint(values) if whole_numbers else values).reshape(result[x].shape)
    return warped
