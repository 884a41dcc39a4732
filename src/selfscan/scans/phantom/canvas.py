"""The volume under construction: shapes are painted over each other, edges in partial volume."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from selfscan.scans.phantom.fields import Grid, Volume
from selfscan.scans.phantom.patient import Tissue
from selfscan.scans.phantom.shapes import Ellipsoid, cone

Window = tuple[slice, slice, slice]
_Floats = npt.NDArray[np.float64]

PHANTOM_LABELS: dict[int, str] = {
    0: "background",
    1: "lungs",
    2: "heart",
    3: "aorta",
    4: "liver",
    5: "spleen",
    6: "stomach",
    7: "kidney_right",
    8: "kidney_left",
    9: "bladder",
    10: "spine",
    11: "ribs",
}

EVERYWHERE: Window = (slice(None), slice(None), slice(None))
_FAR_MM = 1e3
_NUMBERS = {name: number for number, name in PHANTOM_LABELS.items()}


class Canvas:
    """Hounsfield units and labels on a grid whose voxels know where in the torso they lie.

    Args:
        grid: The grid of the scan.
        points: Coordinates of each voxel in the torso, mm, shape (3, X, Y, Z).
        texture: A field of variance 1 from which each tissue takes its grain, shape (X, Y, Z).
        tissues: What there is to paint with.
    """

    def __init__(
        self, grid: Grid, points: Volume, texture: Volume, tissues: Mapping[str, Tissue]
    ) -> None:
        self.grid = grid
        self.points = points
        self.texture = texture
        self.tissues = tissues
        self.hu = np.full(grid.shape, tissues["air"].hu, dtype=np.float32)
        self.labels = np.zeros(grid.shape, dtype=np.uint8)
        self.edge_mm = float(np.prod(grid.spacing_mm)) ** (1 / 3)
        self._matrix, self._offset, self._astray = _nearly_affine(points)

    def window(self, low: npt.ArrayLike, high: npt.ArrayLike) -> Window:
        """The voxels that may lie in a box of the torso, given by two corners."""
        low, high = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
        middle = self._matrix @ ((low + high) / 2 - self._offset)
        reach = np.abs(self._matrix) @ ((high - low) / 2) + self._astray
        shape = np.array(self.grid.shape)
        first, stop = np.floor(middle - reach), np.ceil(middle + reach) + 1
        return _window(np.clip(first, 0, shape).astype(int), np.clip(stop, 0, shape).astype(int))

    def at(self, window: Window) -> Volume:
        """Coordinates in the torso of a window's voxels, shape (3, ...)."""
        return self.points[(slice(None), *window)]

    def height(self, window: Window) -> Volume:
        """Height above the floor of the room, patient on the back, mm, shape (1, n, 1)."""
        return self.grid.axes[1][None, window[1], None]

    def paint(
        self,
        window: Window,
        distance: Volume,
        tissue: str,
        *,
        label: str | None = None,
        within: str | None = None,
    ) -> None:
        """Lay a shape of one tissue over what is there.

        Args:
            window: The voxels that `distance` is of.
            distance: Signed distance to the shape's surface, mm, negative inside.
            tissue: What the shape is made of.
            label: What its voxels are labelled from now on; None leaves the labels.
            within: Paint only inside this label.
        """
        made_of = self.tissues[tissue]
        hu = made_of.hu + made_of.grain * self.texture[window]
        self.paint_hu(window, distance, hu, label=label, within=within)

    def paint_hu(
        self,
        window: Window,
        distance: Volume,
        hu: Volume,
        *,
        label: str | None = None,
        within: str | None = None,
    ) -> None:
        """Lay a shape over what is there whose HU change from voxel to voxel."""
        share = np.clip(0.5 - distance / self.edge_mm, 0, 1)
        if within is not None:
            share *= self.labels[window] == _NUMBERS[within]
        self.hu[window] += share * (hu - self.hu[window])
        if label is not None:
            self.labels[window][share > 0.5] = _NUMBERS[label]

    def paint_bone(
        self, window: Window, distance: Volume, *, shell_mm: float = 2.0, label: str | None = None
    ) -> None:
        """Lay a bone over what is there: marrow in a shell of cortical bone."""
        self.paint(window, distance, "cortical bone", label=label)
        self.paint(window, distance + shell_mm, "marrow")

    def ellipsoid(self, shape: Ellipsoid, *, margin_mm: float = 0.0) -> tuple[Window, Volume]:
        """An ellipsoid's window, wider by a margin, and its distance there."""
        low, high = shape.box
        margin = margin_mm + self.edge_mm
        window = self.window(low - margin, high + margin)
        return window, shape.distance(self.at(window))

    def tube(self, cones: Volume, *, margin_mm: float = 0.0) -> tuple[Window, Volume]:
        """The window of a chain or tree of cones (N, 2, 4), and the distance to their union."""
        ends = self._indices(cones[..., :3].reshape(-1, 3)).reshape(-1, 2, 3)
        reach = 1.2 * (cones[..., 3:].max(axis=1) + margin_mm + self.edge_mm)
        reach = reach / self.grid.spacing_mm + 1
        shape = np.array(self.grid.shape)
        firsts = np.clip(np.floor(ends.min(axis=1) - reach), 0, shape).astype(int)
        stops = np.clip(np.ceil(ends.max(axis=1) + reach) + 1, 0, shape).astype(int)
        seen = (stops > firsts).all(axis=1)
        if not seen.any():
            seen[0] = True
        cones, firsts, stops = cones[seen], firsts[seen], stops[seen]
        corner = firsts.min(axis=0)
        window = _window(corner, stops.max(axis=0))
        points = self.at(window)
        distance = np.full(points.shape[1:], _FAR_MM, dtype=np.float32)
        for (start, end), first, stop in zip(cones, firsts - corner, stops - corner, strict=True):
            part = _window(first, stop)
            nearest = distance[part]
            np.minimum(nearest, cone(points[(slice(None), *part)], start, end), out=nearest)
        return window, distance

    def spread(self, window: Window, distance: Volume) -> Volume:
        """A distance on the whole grid, far where its window does not reach."""
        everywhere = np.full(self.grid.shape, _FAR_MM, dtype=np.float32)
        everywhere[window] = distance
        return everywhere

    def _indices(self, places: Volume) -> _Floats:
        """The voxel index, a real number, of places in the torso; both of shape (N, 3)."""
        indices = (places - self._offset) @ self._matrix.T
        last = np.array(self.grid.shape) - 1
        # The warp is smooth: each step takes away most of what is left.
        for _ in range(3):
            x, y, z = np.clip(np.rint(indices), 0, last).astype(int).T
            nearest = np.stack([x, y, z], axis=1)
            indices = nearest + (places - self.points[:, x, y, z].T) @ self._matrix.T
        return indices


def _window(first: npt.NDArray[np.int64], stop: npt.NDArray[np.int64]) -> Window:
    x, y, z = (slice(a, max(a, b)) for a, b in zip(first.tolist(), stop.tolist(), strict=True))
    return x, y, z


def _nearly_affine(points: Volume) -> tuple[_Floats, _Floats, _Floats]:
    """The affine map from the torso to voxel indices that is nearest to the truth.

    Returns:
        Matrix (3, 3) and offset (3,) for index = matrix @ (place - offset), and the most that the
        index is off by, (3,), judged on every fourth voxel.
    """
    indices = np.mgrid[tuple(slice(0, n, 4) for n in points.shape[1:])].reshape(3, -1)
    places = points[(slice(None), *indices)].astype(np.float64)
    homogeneous = np.vstack([places, np.ones_like(places[:1])])
    fit = np.linalg.lstsq(homogeneous.T, indices.T, rcond=None)[0]
    matrix, shift = np.split(np.asarray(fit.T, dtype=np.float64), [3], axis=1)
    offset = np.asarray(np.linalg.solve(matrix, -shift[:, 0]), dtype=np.float64)
    off = np.abs(matrix @ (places - offset[:, None]) - indices)
    return matrix, offset, off.max(axis=1) + 1
