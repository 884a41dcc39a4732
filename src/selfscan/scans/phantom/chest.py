"""Lungs and heart, between the wall of the chest and the diaphragm."""

from __future__ import annotations

import numpy as np

from selfscan.scans.phantom.canvas import Canvas
from selfscan.scans.phantom.shapes import Ellipsoid, smooth_intersection, smooth_union
from selfscan.scans.phantom.trunk import Trunk

VENTRICLES = Ellipsoid((-28, 28, 88), (60, 43, 41), (0, 28, -38))
ATRIA = Ellipsoid((6, 4, 112), (43, 34, 35))
CHAMBERS = {
    "left ventricle": (Ellipsoid((-40, 20, 86), (36, 17, 18), (0, 28, -38)), "arterial blood"),
    "right ventricle": (Ellipsoid((-12, 46, 84), (36, 13, 24), (0, 22, -30)), "mixed blood"),
    "left atrium": (Ellipsoid((-2, -14, 118), (27, 14, 19)), "arterial blood"),
    "right atrium": (Ellipsoid((30, 16, 102), (16, 21, 27)), "mixed blood"),
}


def paint_chest(random: np.random.Generator, canvas: Canvas, trunk: Trunk) -> None:
    """Lungs around the heart; the heart with its chambers, the left ones first to be bright."""
    near = canvas.window((-110, -75, 10), (85, 110, 170))
    points = canvas.at(near)
    ventricles, atria = (part.varied(random).distance(points) for part in (VENTRICLES, ATRIA))
    heart = smooth_union(ventricles, atria, blend_mm=14)
    heart = np.maximum(heart, 2 - trunk.diaphragm[near])
    heart = np.maximum(heart, trunk.wall[near] + 5)

    window = canvas.window((-150, -110, -20), (150, 110, 285))
    x, y, z = canvas.at(window)
    # The mediastinum: broad at the spine and at the top, narrow behind the breastbone.
    half_width = 10 + 18 * np.exp(-(((y + 32) / 40) ** 2)) + 6 * np.tanh((-50 - y) / 10)
    half_width += np.clip((z - 165) / 4, 0, 50)
    middle = smooth_union(
        np.abs(x) - half_width, canvas.spread(near, heart - 4)[window], blend_mm=20
    )
    lungs = smooth_intersection(trunk.wall[window] + 2, -middle, blend_mm=12)
    lungs = smooth_intersection(lungs, 1 - trunk.diaphragm[window], blend_mm=4)
    lungs = smooth_intersection(lungs, z - 262, blend_mm=30)
    tissue = canvas.tissues["lung"]
    # The patient lies on the back, where blood sinks and makes the lung denser.
    hu = tissue.hu - 0.35 * canvas.height(window)
    canvas.paint_hu(window, lungs, hu + tissue.grain * canvas.texture[window], label="lungs")

    canvas.paint(near, heart, "myocardium", label="heart")
    for shape, blood in CHAMBERS.values():
        chamber = shape.varied(random).distance(points)
        canvas.paint(near, smooth_intersection(chamber, heart + 2.5, blend_mm=4), blood)
