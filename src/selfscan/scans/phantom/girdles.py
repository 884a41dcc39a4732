"""Shoulder blades, collar bones, hip bones with their muscles, heads of the femora."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from selfscan.scans.phantom.canvas import Canvas
from selfscan.scans.phantom.fields import Volume
from selfscan.scans.phantom.shapes import Ellipsoid, smooth_path, smooth_union
from selfscan.scans.phantom.trunk import Trunk

SCAPULA = Ellipsoid((92, -74, 188), (46, 50, 66), (0, -10, 30))
FEMORAL_HEAD = Ellipsoid((88, 4, -272), (24, 24, 24))
# The wing of the ilium is a piece of a large sphere, hollow towards the belly.
ILIUM = Ellipsoid((94, -30, -186), (64, 64, 66))
ILIAC_FOSSA = Ellipsoid((-4, 54, -133), (140, 140, 140))
CLAVICLE = ((14, 34, 232, 7), (60, 30, 246, 6), (118, -8, 268, 6))
ISCHIUM = ((82, -18, -256, 13), (76, -32, -285, 12), (66, -38, -310, 13))
PUBIS = ((84, 30, -262, 10), (50, 48, -272, 7), (14, 58, -288, 9))


def paint_girdles(random: np.random.Generator, canvas: Canvas, trunk: Trunk) -> None:
    """Shoulder blades, collar bones, hip bones and the heads of the femora."""
    blade, head = SCAPULA.varied(random), FEMORAL_HEAD.varied(random)
    for side in (1, -1):
        window, extent = canvas.ellipsoid(_on_side(blade, side))
        plate = np.abs(trunk.wall[window] - 18) - 3.2
        canvas.paint_bone(window, np.maximum(plate, extent), shell_mm=1.8)
        canvas.paint_bone(*canvas.tube(_path_on_side(CLAVICLE, side)), shell_mm=1.8)
        _paint_hip(canvas, trunk, _on_side(head, side), side)


def _paint_hip(canvas: Canvas, trunk: Trunk, head: Ellipsoid, side: int) -> None:
    ilium = _on_side(ILIUM, side)
    window = canvas.window(np.subtract(ilium.center, (75, 75, 125)), ilium.box[1] + 12)
    points = canvas.at(window)
    extent = ilium.distance(points)
    outward = _on_side(ILIAC_FOSSA, side).distance(points)
    gluteal = np.maximum(np.maximum(extent - 8, -outward - 16), trunk.skin[window] + 9)
    canvas.paint(window, gluteal, "muscle")
    # Three gluteal muscles lie on the wing like leaves, fat between them.
    for depth in (20, 38):
        leaf = np.abs(outward - depth - 2.5 * canvas.texture[window]) - 1.4
        canvas.paint(window, np.maximum(leaf, gluteal + 1), "loose fat")

    wing = np.maximum(np.abs(outward) - 4.5, extent)
    from_head = head.distance(points)
    socket = np.maximum(np.abs(from_head - 7) - 4, head.center[2] - 4 - points[2])
    hip = smooth_union(wing, socket, blend_mm=10)
    bars = np.concatenate([_path_on_side(ISCHIUM, side), _path_on_side(PUBIS, side)])
    hip = smooth_union(hip, canvas.spread(*canvas.tube(bars, margin_mm=12))[window], blend_mm=8)
    canvas.paint_bone(window, np.maximum(hip, 2.5 - from_head), shell_mm=2.2)
    canvas.paint_bone(*canvas.ellipsoid(head), shell_mm=1.8)


def _on_side(shape: Ellipsoid, side: int) -> Ellipsoid:
    return shape if side > 0 else shape.mirrored()


def _path_on_side(nodes: Sequence[tuple[float, float, float, float]], side: int) -> Volume:
    return smooth_path(np.asarray(nodes) * (side, 1, 1, 1))
