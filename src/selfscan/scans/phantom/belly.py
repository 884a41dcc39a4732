"""The organs of the belly, under the diaphragm and within the wall, each in a little fat."""

from __future__ import annotations

import numpy as np

from selfscan.scans.phantom.canvas import Canvas, Window
from selfscan.scans.phantom.fields import Volume, smooth_field
from selfscan.scans.phantom.patient import Patient
from selfscan.scans.phantom.shapes import (
    Ellipsoid,
    smooth_intersection,
    smooth_path,
    smooth_union,
)
from selfscan.scans.phantom.trunk import Trunk

RIGHT_LOBE = Ellipsoid((74, 6, -2), (70, 98, 88), (0, -14, 0))
LEFT_LOBE = Ellipsoid((4, 52, 30), (82, 46, 34), (0, 12, 4))
RIGHT_RENAL_BED = Ellipsoid((52, -66, -75), (54, 62, 92), (-10, 0, 0))
LEFT_RENAL_BED = Ellipsoid((-50, -58, -55), (43, 52, 92), (-10, 0, 0))
GALLBLADDER = Ellipsoid((58, 54, -46), (14, 26, 17), (25, 0, 0))
SPLEEN = Ellipsoid((-102, -34, 10), (34, 50, 58), (14, -12, 24))
KIDNEYS = {
    "kidney_right": Ellipsoid((64, -30, -56), (27, 24, 55), (-12, 10, -30)),
    "kidney_left": Ellipsoid((-64, -32, -40), (27, 24, 56), (-12, -10, 30)),
}
BLADDER = Ellipsoid((0, 18, -236), (42, 35, 34))
ILEUM = Ellipsoid((4, 34, -150), (100, 62, 104))
JEJUNUM = Ellipsoid((-62, 36, -50), (42, 46, 58))
PELVIC_FLOOR = Ellipsoid((0, -2, -282), (30, 28, 24))
STOMACH_BED = Ellipsoid((-50, -4, 10), (32, 44, 60))
# Courses as (right, anterior, superior, radius) in mm.
STOMACH = (
    (-58, -14, 50, 24),
    (-64, 6, 32, 34),
    (-62, 34, 0, 30),
    (-44, 56, -28, 24),
    (-8, 62, -42, 19),
    (22, 50, -34, 13),
)
COLON = (
    (92, 14, -190, 20),
    (102, 12, -140, 23),
    (98, 22, -96, 21),
    (84, 50, -84, 18),
    (40, 76, -98, 16),
    (-20, 80, -100, 15),
    (-72, 60, -70, 16),
    (-102, 14, -44, 17),
    (-108, -14, -70, 15),
    (-106, -6, -120, 14),
    (-98, 14, -175, 14),
    (-78, 44, -202, 15),
    (-34, 54, -204, 15),
    (0, 26, -190, 15),
    (8, -16, -196, 15),
    (0, -48, -222, 17),
    (0, -58, -262, 19),
    (0, -46, -310, 14),
)


def paint_liver(random: np.random.Generator, canvas: Canvas, trunk: Trunk) -> None:
    """Two lobes under the right dome, hollow towards the spine."""
    window = canvas.window((-100, -100, -120), (150, 120, 100))
    points = canvas.at(window)
    right, left = (lobe.varied(random).distance(points) for lobe in (RIGHT_LOBE, LEFT_LOBE))
    liver = smooth_intersection(
        smooth_union(right, left, blend_mm=20), _room(trunk, window), blend_mm=8
    )
    around_spine = 48 - np.hypot(points[0] + 4, points[1] + 34)
    liver = smooth_intersection(liver, around_spine, blend_mm=16)
    liver = smooth_intersection(liver, -RIGHT_RENAL_BED.distance(points), blend_mm=12)
    canvas.paint(window, liver - 2, "fat", label="background")
    canvas.paint(window, liver, "liver", label="liver")


def paint_gallbladder(random: np.random.Generator, canvas: Canvas) -> None:
    """Bile in a thin wall."""
    window, gallbladder = canvas.ellipsoid(GALLBLADDER.varied(random), margin_mm=2)
    canvas.paint(window, gallbladder - 1.5, "bowel wall", label="background")
    canvas.paint(window, gallbladder, "water")


def paint_spleen(random: np.random.Generator, canvas: Canvas, trunk: Trunk) -> None:
    """A crescent along the wall, hollow towards stomach and kidney."""
    window, spleen = canvas.ellipsoid(SPLEEN.varied(random), margin_mm=4)
    points = canvas.at(window)
    hollow = smooth_union(
        LEFT_RENAL_BED.distance(points), STOMACH_BED.distance(points), blend_mm=10
    )
    spleen = smooth_intersection(spleen, _room(trunk, window), blend_mm=6)
    spleen = smooth_intersection(spleen, -hollow, blend_mm=10)
    canvas.paint(window, spleen - 2, "fat", label="background")
    canvas.paint(window, spleen, "spleen", label="spleen")


def paint_kidneys(random: np.random.Generator, canvas: Canvas) -> None:
    """Beans in their own fat: cortex, pyramids, and a sinus that opens towards the spine."""
    for name, usual in KIDNEYS.items():
        kidney = usual.varied(random)
        window, distance = canvas.ellipsoid(kidney, margin_mm=8)
        x, y, z = kidney.center
        hilum = Ellipsoid((x - np.sign(x) * 22, y + 8, z), (23, 9, 20)).distance(canvas.at(window))
        bean = smooth_intersection(distance, -hilum, blend_mm=6)
        canvas.paint(window, distance - 6, "fat", label="background")
        canvas.paint(window, bean, "renal cortex", label=name)
        pyramids = np.maximum(distance + 8, 3 - hilum) - 3 * canvas.texture[window]
        canvas.paint(window, np.maximum(pyramids, bean + 4), "renal medulla")
        canvas.paint(window, np.maximum(hilum + 5.5, distance - 3), "water")


def paint_stomach(
    random: np.random.Generator, canvas: Canvas, patient: Patient, trunk: Trunk
) -> None:
    """A bag under the left dome, fluid below, gas above a level surface."""
    nodes = np.asarray(STOMACH) + random.normal(0, (3, 3, 3, 1.2), (len(STOMACH), 4))
    window, stomach = canvas.tube(smooth_path(nodes), margin_mm=4)
    stomach = smooth_intersection(stomach, _room(trunk, window) + 2, blend_mm=6)
    canvas.paint(window, stomach - 2, "fat", label="background")
    canvas.paint(window, stomach, "bowel wall", label="stomach")
    lumen = stomach + 3.5
    canvas.paint(window, lumen, "gastric content")
    height = np.broadcast_to(canvas.height(window), lumen.shape)
    if (lumen < 0).any():
        level = float(np.quantile(height[lumen < 0], 1 - 0.6 * patient.gas))
        canvas.paint(window, np.maximum(lumen, level - height), "gas")


def paint_bowel(
    random: np.random.Generator, canvas: Canvas, patient: Patient, trunk: Trunk
) -> None:
    """Loops of small bowel in mesenteric fat."""
    window = canvas.window((-125, -60, -250), (120, 105, 20))
    points = canvas.at(window)
    winding = smooth_field(random, canvas.grid, scale_mm=21.0)[window]
    room = smooth_union(
        ILEUM.distance(points), JEJUNUM.varied(random).distance(points), blend_mm=20
    )
    room = np.maximum(room, trunk.wall[window] + 5)
    # Loops lie closer in the pelvis and in the lean.
    closer = 0.3 * np.tanh((-130 - points[2]) / 60) + (20 - patient.fat_mm) / 60
    loops = smooth_intersection(-8 * (winding + closer), room, blend_mm=6)
    canvas.paint(window, loops, "bowel wall")
    canvas.paint(window, loops + 3, "bowel content")
    bubbles = smooth_field(random, canvas.grid, scale_mm=16.0)[window]
    canvas.paint(window, np.maximum(loops + 3.5, 6 * (2.3 - patient.gas - bubbles)), "gas")


def paint_colon(
    random: np.random.Generator, canvas: Canvas, patient: Patient, trunk: Trunk
) -> None:
    """The frame around the small bowel: pouches with stool, gas where they lie highest."""
    nodes = np.asarray(COLON) + random.normal(0, (4, 4, 4, 1), (len(COLON), 4))
    cones = smooth_path(nodes, step_mm=9)
    pouches = np.clip(random.normal(1, 0.12, len(cones) + 1), 0.75, 1.3)
    cones[..., 3] *= np.stack([pouches[:-1], pouches[1:]], axis=1)
    window, colon = canvas.tube(cones, margin_mm=4)
    colon = np.maximum(colon, trunk.wall[window] + 4)
    canvas.paint(window, colon - 2.5, "fat")
    canvas.paint(window, colon, "bowel wall")
    crumbs = np.clip(canvas.texture[window] - 0.3, 0, 4)
    canvas.paint_hu(window, colon + 2.5, 30 - 160 * crumbs)
    pockets = smooth_field(random, canvas.grid, scale_mm=50.0)[window]
    gas = 7 * (pockets + 1.5 - 2 * patient.gas) - canvas.height(window) / 12
    canvas.paint(window, np.maximum(colon + 3, gas), "gas")


def paint_bladder(random: np.random.Generator, canvas: Canvas) -> None:
    """Urine in a muscular wall, in its own fat; the floor of the pelvis below."""
    window, floor = canvas.ellipsoid(PELVIC_FLOOR.varied(random))
    canvas.paint(window, floor, "muscle")
    window, bladder = canvas.ellipsoid(BLADDER.varied(random), margin_mm=6)
    canvas.paint(window, bladder - 5, "fat", label="background")
    canvas.paint(window, bladder, "muscle", label="bladder")
    canvas.paint(window, bladder + 3, "water")


def _room(trunk: Trunk, window: Window) -> Volume:
    """Distance to the room of the belly: under the diaphragm, within the wall."""
    return smooth_intersection(trunk.diaphragm[window] + 3, trunk.wall[window] + 3, blend_mm=6)
