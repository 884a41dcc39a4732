"""Vessels that branch through an organ, from the trunk at its hilum to the smallest twigs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from selfscan.scans.phantom.canvas import EVERYWHERE, Canvas
from selfscan.scans.phantom.fields import Triple, Volume, smooth_field
from selfscan.scans.phantom.trunk import Trunk


@dataclass(frozen=True)
class Tree:
    """A vessel that branches through an organ.

    Args:
        content: The tissue that fills it.
        within: The label that it stays in.
        root: Where it enters, mm.
        heading: The direction of its trunk.
        radius: Of the trunk, mm.
        length: Of the trunk, mm; branches get shorter.
    """

    content: str
    within: str
    root: Triple
    heading: Triple
    radius: float
    length: float

    def grown(self, random: np.random.Generator) -> Volume:
        """Cones (N, 2, 4): each branch splits in two, thinner and shorter."""
        starts, headings = np.array([self.root]), np.array([self.heading])
        headings = headings / np.linalg.norm(headings)
        radii, lengths = np.array([[self.radius]]), np.array([[self.length]])
        cones = []
        for _ in range(GENERATIONS):
            ends = starts + headings * lengths
            cones.append(np.stack([np.hstack([starts, radii]), np.hstack([ends, 0.8 * radii])], 1))
            turns = np.cross(headings, random.normal(size=headings.shape))
            turns /= np.linalg.norm(turns, axis=1, keepdims=True)
            # The two branches turn to opposite sides, each by its own angle.
            turns = np.concatenate([turns, -turns])
            starts, headings, radii, lengths = (
                np.concatenate([a, a]) for a in (ends, headings, radii, lengths)
            )
            headings = headings + random.uniform(0.3, 0.8, radii.shape) * turns
            headings /= np.linalg.norm(headings, axis=1, keepdims=True)
            radii = radii * random.uniform(0.68, 0.86, radii.shape)
            lengths = lengths * random.uniform(0.75, 0.95, radii.shape)
        return np.concatenate(cones).astype(np.float32)


GENERATIONS = 7
TREES = (
    Tree("mixed blood", "lungs", (40, -16, 148), (0.7, 0.2, 0.8), 4.5, 28),
    Tree("mixed blood", "lungs", (42, -20, 142), (0.5, -0.4, -0.9), 5.0, 32),
    Tree("mixed blood", "lungs", (42, -8, 138), (0.6, 0.8, -0.4), 4.0, 28),
    Tree("mixed blood", "lungs", (-40, -10, 156), (-0.6, 0.3, 0.8), 4.5, 28),
    Tree("mixed blood", "lungs", (-44, -22, 144), (-0.5, -0.5, -0.9), 5.0, 32),
    Tree("mixed blood", "lungs", (-42, -4, 150), (-0.7, 0.7, 0.0), 4.0, 26),
    Tree("portal blood", "liver", (38, 18, 4), (0.8, -0.3, 0.2), 6.0, 26),
    Tree("portal blood", "liver", (34, 20, 6), (-0.5, 0.7, 0.5), 5.0, 24),
    Tree("venous blood", "liver", (28, 4, 52), (0.8, -0.2, -0.4), 6.0, 30),
    Tree("venous blood", "liver", (26, 8, 52), (0.1, 0.8, -0.3), 5.0, 26),
)
MESENTERY = (
    Tree("venous blood", "background", (4, 34, -64), (0.0, 0.3, -1.0), 4.5, 34),
    Tree("venous blood", "background", (-10, 20, -60), (-0.6, 0.3, -0.8), 3.5, 28),
)


def paint_trees(
    random: np.random.Generator, canvas: Canvas, trunk: Trunk, trees: tuple[Tree, ...]
) -> None:
    """Paint a table of trees, each inside its organ."""
    for tree in trees:
        window, distance = canvas.tube(tree.grown(random))
        distance = np.maximum(distance, trunk.wall[window] + 4)
        canvas.paint(window, distance, tree.content, within=tree.within)


def paint_twigs(
    random: np.random.Generator,
    canvas: Canvas,
    content: str,
    *,
    within: str,
    radius_mm: float,
    scale_mm: float,
) -> None:
    """Paint the many small vessels of an organ: the curves along which two smooth fields vanish."""
    first, second = (smooth_field(random, canvas.grid, scale_mm=scale_mm) for _ in range(2))
    twigs = np.hypot(first, second) * (0.75 * scale_mm) - radius_mm
    canvas.paint(EVERYWHERE, twigs, content, within=within)
