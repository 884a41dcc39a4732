"""Where a word lies in each scan: at the same voxel, or at the same fraction of the body."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from selfscan.discovery.recipe import DiscoveryRecipe
from selfscan.scans.crops.places import voxel
from selfscan.scans.store import Store
from selfscan.scans.words import Box

Voxels = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Grids:
    """What of N scans decides where a word lies in them, (N, 3) each.

    Attributes:
        shapes: Voxels along (X, Y, Z).
        corners: First voxel of the box around the body.
        bodies: Voxels of that box.
        spacings: Millimeters of a voxel.
    """

    shapes: Voxels
    corners: Voxels
    bodies: Voxels
    spacings: npt.NDArray[np.float64]

    @classmethod
    def of(cls, store: Store) -> Grids:
        """Those of all scans of a store."""
        boxes = store.foreground_boxes
        return cls(
            np.asarray(store.shapes),
            boxes[:, 0],
            boxes[:, 1] - boxes[:, 0],
            np.array([record.spacing for record in store]),
        )


@dataclass(frozen=True)
class Place:
    """Where a word lies, in any scan.

    Attributes:
        position: In the frame of the words: its first voxel along (X, Y, Z), or where its middle
            lies in the box around the body, from 0 to 1.
        spacing: Of its reference, in mm.
    """

    position: tuple[float, float, float]
    spacing: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Boxes:
    """The box of one word in each of N scans, (N, 3) each.

    Attributes:
        starts: First voxel along (X, Y, Z).
        extents: Voxels.
        zooms: Voxels of the scan to one of the reference.
    """

    starts: Voxels
    extents: Voxels
    zooms: npt.NDArray[np.float64]

    def box(self, i: int) -> Box:
        """The one in scan i."""
        return Box(voxel(self.starts[i]), voxel(self.extents[i]))

    def inside(self, shapes: Voxels) -> npt.NDArray[np.bool_]:
        """Whether each lies inside its scan, (N,)."""
        fits: npt.NDArray[np.bool_] = np.all(
            (self.starts >= 0) & (self.starts + self.extents <= shapes), axis=1
        )
        return fits


def start_ranges(grids: Grids, recipe: DiscoveryRecipe) -> tuple[Voxels, Voxels]:
    """First and last start of a cube in each scan as a reference, (N, 3) each, both included.

    A cube keeps away from both ends, of the scan or of the body, by the border, one voxel more at
    the far one, and behind it along Z by the margin. Where the last is below the first the scan is
    too small to be a reference.
    """
    border = np.array(recipe.borders)
    if recipe.frame == "voxel":
        low, past = np.broadcast_to(border, grids.shapes.shape), grids.shapes - border
    else:
        low = grids.corners + border * grids.bodies
        past = grids.corners + (1 - border) * grids.bodies
    # A ten-thousandth of a voxel, since shares are no exact numbers.
    first = np.ceil(low - 1e-4).astype(np.int64)
    last = np.floor(past + 1e-4).astype(np.int64) - recipe.size - (1, 1, 1 + recipe.margin)
    return np.maximum(first, 0), last


def place_of(start: Voxels, grids: Grids, scan: int, recipe: DiscoveryRecipe) -> Place:
    """The place of a cube that starts at a voxel (X, Y, Z) of its reference."""
    position = start.astype(np.float64)
    if recipe.frame == "body":
        middle = start + np.array(recipe.size) / 2
        position = (middle - grids.corners[scan]) / grids.bodies[scan]
    x, y, z = position.tolist()
    dx, dy, dz = grids.spacings[scan].tolist()
    return Place((x, y, z), (dx, dy, dz))


def boxes_at(place: Place, grids: Grids, recipe: DiscoveryRecipe) -> Boxes:
    """The box at a place in each scan; it may stick out."""
    size = np.array(recipe.size)
    if recipe.frame == "voxel":
        starts = np.broadcast_to(np.array(place.position).astype(np.int64), grids.shapes.shape)
        return Boxes(starts, np.broadcast_to(size, starts.shape), np.ones(starts.shape))
    zooms = np.array(place.spacing) / grids.spacings
    extents = np.maximum(np.rint(size * zooms), 1).astype(np.int64)
    middles = grids.corners + np.array(place.position) * grids.bodies
    # Rounded after a hair, so that in the reference itself it is where it was drawn.
    starts = np.floor(middles - extents / 2 + 0.5 + 1e-6).astype(np.int64)
    return Boxes(starts, extents, zooms)


def distance(one: Place, other: Place, bodies: Voxels, recipe: DiscoveryRecipe) -> float:
    """Between two places, in voxels; fractions are of the median of N bodies (N, 3)."""
    apart = np.subtract(one.position, other.position)
    scale = np.median(bodies, axis=0) if recipe.frame == "body" else 1.0
    return float(np.linalg.norm(apart * scale))
