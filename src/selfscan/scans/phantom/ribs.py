"""The cage of the chest: ribs that follow the wall, their cartilage, the sternum."""

from __future__ import annotations

import numpy as np

from selfscan.scans.phantom.canvas import Canvas
from selfscan.scans.phantom.shapes import smooth_intersection
from selfscan.scans.phantom.trunk import Trunk

# Ribs 1 to 12: angle around the chest where bone ends and where cartilage ends, in radians.
RIB_ENDS = np.array(
    [
        (2.5, 3.1),
        (2.5, 3.1),
        (2.45, 3.1),
        (2.4, 3.1),
        (2.35, 3.1),
        (2.3, 3.1),
        (2.25, 3.0),
        (2.15, 2.85),
        (2.05, 2.6),
        (1.9, 2.3),
        (1.35, 1.4),
        (0.95, 1.0),
    ],
    dtype=np.float32,
)
_RIB_PITCH_MM = 22.6
_RIB_1_MM = 268.0


def paint_ribs(canvas: Canvas, trunk: Trunk) -> None:
    """Twelve pairs that run down and forward along the wall, cartilage, and the sternum."""
    window = canvas.window((-190, -140, -100), (190, 140, 290))
    x, _, z = canvas.at(window)
    angle, depth = trunk.angle[window], trunk.wall[window] - 5.5
    # The lower ribs hang more, their cartilage climbs back towards the sternum.
    hang = np.clip(108 - z / 6, 60, 108)
    fall = np.clip(angle / 2.3, 0, 1)
    climb = np.clip((angle - 2.2) / 0.9, 0, 1)
    course = hang * (fall - 0.7 * climb**2)
    number = (_RIB_1_MM - z - course) / _RIB_PITCH_MM
    nearest = np.clip(np.round(number), 0, 11)
    along = (number - nearest) * _RIB_PITCH_MM
    bone_end, cartilage_end = (ends.take(nearest.astype(np.int32)) for ends in RIB_ENDS.T)
    section = (np.hypot(depth / 3.6, along / 6.2) - 1) * 3.6
    radius = 100.0
    cartilage = np.maximum(section, (angle - cartilage_end) * radius)
    bone = np.maximum(section, (angle - bone_end) * radius)
    bone = np.maximum(bone, (0.24 - angle) * radius)
    canvas.paint(window, cartilage, "cartilage")
    canvas.paint_bone(window, bone, shell_mm=1.6, label="ribs")

    width = np.where(z > 200, np.float32(26), np.float32(15))
    thickness = np.abs(trunk.wall[window] - 8) - 5.5
    sternum = smooth_intersection(thickness, np.abs(x) - width, blend_mm=9)
    sternum = np.maximum(sternum, np.abs(z - 145) - 88)
    sternum = np.maximum(sternum, 2.4 - angle)
    canvas.paint_bone(window, sternum, shell_mm=1.0)
