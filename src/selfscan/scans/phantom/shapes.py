"""Implicit shapes: signed distances in millimetres, negative inside, of points (3, ...)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation

from selfscan.scans.phantom.fields import Triple, Volume


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid in the coordinates of the torso, in mm.

    Args:
        center: Right, anterior, superior of the middle of the torso.
        radii: Along its own three axes.
        tilt: Rotation about x, y and z, in degrees.
    """

    center: Triple
    radii: Triple
    tilt: Triple = (0.0, 0.0, 0.0)

    @property
    def rotation(self) -> npt.NDArray[np.float64]:
        """From its own axes to those of the torso, shape (3, 3)."""
        return np.asarray(Rotation.from_euler("xyz", self.tilt, degrees=True).as_matrix())

    @property
    def box(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """The lowest and the highest corner."""
        half = np.sqrt((self.rotation**2) @ np.square(self.radii))
        return np.asarray(self.center) - half, np.asarray(self.center) + half

    def mirrored(self) -> Ellipsoid:
        """The same on the other side of the body."""
        (x, y, z), (a, b, c) = self.center, self.tilt
        return replace(self, center=(-x, y, z), tilt=(a, -b, -c))

    def varied(self, random: np.random.Generator) -> Ellipsoid:
        """The same organ of another patient: moved, resized and tilted a little."""
        center = np.asarray(self.center) + random.normal(0, 3.0, 3)
        radii = np.asarray(self.radii) * random.uniform(0.92, 1.08, 3) * random.uniform(0.94, 1.06)
        tilt = np.asarray(self.tilt) + random.normal(0, 4.0, 3)
        return Ellipsoid(_triple(center), _triple(radii), _triple(tilt))

    def distance(self, points: Volume) -> Volume:
        """To first order the distance to the surface, shape (...)."""
        axes = self.rotation.T.astype(np.float32)
        center = np.asarray(self.center, dtype=np.float32)
        length = np.zeros(points.shape[1:], dtype=np.float32)
        slope = np.zeros(points.shape[1:], dtype=np.float32)
        offsets = [points[i] - center[i] for i in range(3)]
        for axis, radius in zip(axes, self.radii, strict=True):
            along = offsets[0] * axis[0] + offsets[1] * axis[1] + offsets[2] * axis[2]
            along /= radius
            length += along**2
            along /= radius
            slope += along**2
        np.sqrt(length, out=length)
        np.sqrt(slope, out=slope)
        return np.asarray(length * (length - 1) / np.maximum(slope, 1e-6))


def cone(points: Volume, start: Volume, end: Volume) -> Volume:
    """Distance to a round cone; start and end are (x, y, z, radius), each of shape (4,)."""
    axis = (end - start)[:3]
    offsets = points - start[:3, None, None, None]
    along = np.einsum("i,ixyz->xyz", axis / max(float(axis @ axis), 1e-6), offsets)
    np.clip(along, 0, 1, out=along)
    offsets -= axis[:, None, None, None] * along
    distance = np.sqrt(np.einsum("ixyz,ixyz->xyz", offsets, offsets))
    return np.asarray(distance - start[3] - (end[3] - start[3]) * along)


def smooth_path(nodes: npt.ArrayLike, *, step_mm: float = 12.0) -> Volume:
    """Cones (N, 2, 4) along a smooth curve through nodes (x, y, z, radius), shape (M, 4)."""
    nodes = np.asarray(nodes, dtype=np.float64)
    lengths = np.linalg.norm(np.diff(nodes[:, :3], axis=0), axis=1)
    arc = np.concatenate([[0.0], np.cumsum(lengths)])
    samples = np.linspace(0, arc[-1], max(2, round(arc[-1] / step_mm) + 1))
    curve = CubicSpline(arc, nodes, bc_type="natural")(samples)
    return np.asarray(np.stack([curve[:-1], curve[1:]], axis=1), dtype=np.float32)


def smooth_union(first: Volume, second: Volume, *, blend_mm: float) -> Volume:
    """The nearer of two shapes, with a fillet of about `blend_mm` where they meet."""
    overlap = np.maximum(blend_mm - np.abs(first - second), 0)
    return np.asarray(np.minimum(first, second) - overlap**2 / (4 * blend_mm))


def smooth_intersection(first: Volume, second: Volume, *, blend_mm: float) -> Volume:
    """What both shapes hold, with edges rounded over about `blend_mm`."""
    overlap = np.maximum(blend_mm - np.abs(first - second), 0)
    return np.asarray(np.maximum(first, second) + overlap**2 / (4 * blend_mm))


def _triple(values: npt.NDArray[np.float64]) -> Triple:
    x, y, z = values.tolist()
    return x, y, z
