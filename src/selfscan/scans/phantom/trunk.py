"""The wall of the torso: skin, fat and muscle around the cavity that holds the organs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from selfscan.scans.phantom.canvas import EVERYWHERE, Canvas
from selfscan.scans.phantom.fields import Volume, smooth_field
from selfscan.scans.phantom.patient import Patient
from selfscan.scans.phantom.shapes import Ellipsoid, smooth_intersection, smooth_union

# Cross-sections of the cavity and thickness of the muscle around it, all in mm, from the neck to
# the hips: height, half width, front, back, muscle at the side, in front, at the back, fat share.
CROSS_SECTIONS = np.array(
    [
        (330, 42, 6, -42, 40, 12, 30, 0.5),
        (285, 46, 12, -52, 70, 14, 34, 0.5),
        (255, 68, 28, -66, 66, 20, 34, 0.5),
        (220, 90, 46, -78, 50, 26, 30, 0.5),
        (180, 108, 64, -86, 30, 22, 28, 0.6),
        (120, 125, 82, -90, 17, 14, 26, 0.6),
        (60, 136, 94, -90, 13, 11, 27, 0.7),
        (0, 138, 100, -80, 13, 10, 36, 0.9),
        (-60, 130, 98, -68, 15, 10, 46, 1.1),
        (-120, 124, 94, -64, 18, 10, 48, 1.2),
        (-165, 118, 88, -72, 28, 11, 44, 1.3),
        (-220, 100, 80, -84, 52, 13, 40, 1.5),
        (-265, 82, 70, -84, 72, 14, 38, 1.5),
        (-330, 60, 50, -78, 88, 20, 40, 1.4),
    ]
)
_SKIN_MM = 2.5
_BREAST = Ellipsoid((66, 92, 108), (48, 38, 50))


@dataclass(frozen=True)
class Trunk:
    """Distances that all organs are fitted to, each of shape (X, Y, Z) in mm.

    Args:
        wall: To the inner surface of the wall, negative in the cavity.
        diaphragm: Above the diaphragm, negative in the abdomen.
        skin: To the surface of the body, negative inside.
        angle: Around the body, from 0 at the spine to pi at the front, either side.
    """

    wall: Volume
    diaphragm: Volume
    skin: Volume
    angle: Volume


def measure_trunk(random: np.random.Generator, canvas: Canvas, patient: Patient) -> Trunk:
    """Lay the cavity, the diaphragm and the surface of the body into the grid."""
    x, y, z = canvas.points
    half_width, front, back, side_muscle, front_muscle, back_muscle, fat_share = _cross_section(z)
    forward = y - (front + back) / 2
    radius = np.hypot(x, forward) + 1e-3
    u, v = (x / half_width) ** 2, (2 * forward / (front - back)) ** 2
    # Between an ellipse (weight 2) and a superellipse of exponent 4 (weight 0).
    fraction = np.sqrt(np.sqrt(u**2 + v**2 + 1.3 * u * v)) + 1e-3
    wall = radius - radius / fraction

    cosine = forward / radius
    ahead, behind = np.clip(cosine, 0, 1) ** 2, np.clip(-cosine, 0, 1) ** 2
    furrow = 1 - 0.3 * np.exp(-((x / 12) ** 2)) * behind
    muscle = side_muscle + ahead * (front_muscle - side_muscle)
    muscle += behind * (back_muscle * furrow - side_muscle)
    muscle *= patient.muscle
    fat = fat_share * patient.fat_mm
    fat *= 1 + 0.2 * smooth_field(random, canvas.grid, scale_mm=90.0) - ahead / 5

    skin = wall - muscle - fat - _SKIN_MM
    if patient.female:
        breasts = _BREAST.varied(random)
        for breast in (breasts, breasts.mirrored()):
            window, distance = canvas.ellipsoid(breast, margin_mm=25)
            skin[window] = smooth_union(skin[window], distance, blend_mm=20)
    trunk = Trunk(wall, _above_diaphragm(x, forward, z, fraction), skin, np.arccos(-cosine))
    _paint_wall(random, canvas, patient, trunk, wall - muscle, side_muscle / 30)
    return trunk


def _above_diaphragm(x: Volume, forward: Volume, z: Volume, fraction: Volume) -> Volume:
    """Two domes, the right one higher, that drop steeply to the wall and lowest at the back."""
    drop = np.minimum(fraction, 1) ** 6
    dome = 66 + 9 * np.tanh(x / 35) - 6 * np.exp(-((x / 28) ** 2)) + 4 * np.tanh(forward / 40)
    rim = 4 + 26 * np.tanh(forward / 60)
    height = dome + drop * (rim - dome)
    return np.asarray((z - height) * 0.8)


def _paint_wall(
    random: np.random.Generator,
    canvas: Canvas,
    patient: Patient,
    trunk: Trunk,
    muscle: Volume,
    gap_mm: Volume,
) -> None:
    canvas.paint(EVERYWHERE, trunk.skin, "skin")
    canvas.paint(EVERYWHERE, trunk.skin + _SKIN_MM, "fat")
    if patient.female:
        window = canvas.window((-120, 80, 50), (120, 170, 170))
        gland = smooth_intersection(
            trunk.skin[window] + 12, 12 * canvas.texture[window] - 2, blend_mm=4
        )
        canvas.paint(window, np.maximum(gland, 4 - muscle[window]), "gland")
    canvas.paint(EVERYWHERE, muscle, "muscle")
    # Where a smooth field changes sign lies a thin sheet: the fat between two muscles.
    sheets = np.abs(smooth_field(random, canvas.grid, scale_mm=26.0)) * 14
    sheets = np.maximum(sheets - 0.6 - gap_mm, muscle)
    sheets = np.maximum(sheets, 6 - trunk.wall)
    canvas.paint(EVERYWHERE, sheets, "loose fat")
    canvas.paint(EVERYWHERE, trunk.wall, "fat")


def _cross_section(z: Volume) -> list[Volume]:
    """The columns of the table at each voxel's height, looked up in steps of half a millimeter."""
    heights, *columns = CROSS_SECTIONS[::-1].T
    fine = np.arange(heights[0], heights[-1], 0.5)
    steps = np.clip((z - float(heights[0])) * 2, 0, len(fine) - 1).astype(np.intp)
    return [np.interp(fine, heights, column).astype(np.float32)[steps] for column in columns]
