"""Tubes with a course of their own: great vessels, airways, glands, muscles beside the spine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from selfscan.scans.phantom.canvas import Canvas
from selfscan.scans.phantom.shapes import smooth_path


@dataclass(frozen=True)
class Tube:
    """A tube through the torso.

    Args:
        name: What it is.
        content: The tissue that fills it.
        nodes: (right, anterior, superior, radius) along its course, mm.
        label: What its voxels are labelled.
        wall: The tissue around it, 1.5 mm thick; None for no wall of its own.
        mirrored: There is one on each side.
    """

    name: str
    content: str
    nodes: tuple[tuple[float, float, float, float], ...]
    label: str = "background"
    wall: str | None = None
    mirrored: bool = False


MUSCLES = (
    Tube(
        "psoas",
        "muscle",
        (
            (30, -26, -20, 8),
            (38, -16, -70, 15),
            (46, -8, -120, 20),
            (62, 6, -180, 22),
            (80, 26, -235, 20),
            (92, 34, -300, 19),
        ),
        mirrored=True,
    ),
    Tube(
        "quadratus lumborum",
        "muscle",
        ((52, -62, 0, 9), (64, -58, -60, 14), (78, -56, -130, 15)),
        mirrored=True,
    ),
    Tube(
        "diaphragmatic crus",
        "muscle",
        ((12, -22, 25, 4), (12, -10, -10, 6), (12, -4, -45, 4)),
        mirrored=True,
    ),
)
VESSELS = (
    Tube(
        "aorta",
        "arterial blood",
        (
            (-4, 12, 124, 15),
            (6, 22, 150, 15),
            (6, 14, 178, 15),
            (-8, -8, 192, 14),
            (-24, -32, 180, 13),
            (-27, -46, 150, 12),
            (-25, -36, 100, 12),
            (-17, -18, 40, 11),
            (-9, 4, -20, 10),
            (-6, 16, -80, 9),
            (-5, 18, -116, 8.5),
        ),
        label="aorta",
    ),
    Tube(
        "superior vena cava",
        "mixed blood",
        ((24, 14, 112, 10), (26, 12, 160, 9.5), (26, 14, 205, 8)),
    ),
    Tube(
        "left brachiocephalic vein",
        "venous blood",
        ((26, 14, 205, 8), (10, 24, 222, 7), (-40, 20, 240, 6), (-80, 0, 262, 6)),
    ),
    Tube(
        "right brachiocephalic vein",
        "venous blood",
        ((26, 14, 205, 8), (44, 12, 240, 6.5), (84, -2, 262, 6)),
    ),
    Tube(
        "pulmonary trunk",
        "mixed blood",
        ((-16, 40, 120, 13), (-16, 26, 152, 13), (-30, -2, 160, 10)),
    ),
    Tube(
        "right pulmonary artery",
        "mixed blood",
        ((-16, 22, 152, 11), (14, -4, 150, 10), (44, -14, 146, 8)),
    ),
    Tube("left pulmonary veins", "arterial blood", ((-20, -14, 120, 8), (-48, -22, 122, 5))),
    Tube("right pulmonary veins", "arterial blood", ((20, -14, 120, 8), (48, -20, 118, 5))),
    Tube(
        "brachiocephalic artery",
        "arterial blood",
        ((6, 6, 188, 7), (18, 0, 225, 6), (24, -4, 275, 4)),
    ),
    Tube(
        "left common carotid artery",
        "arterial blood",
        ((-6, -6, 192, 5), (-16, -4, 225, 4), (-26, -4, 280, 4)),
    ),
    Tube(
        "left subclavian artery",
        "arterial blood",
        ((-18, -22, 188, 6), (-30, -18, 225, 5), (-60, -10, 262, 5)),
    ),
    Tube(
        "inferior vena cava",
        "venous blood",
        ((26, 18, 88, 12), (24, 4, 40, 12), (22, 6, -30, 11), (20, 14, -118, 11)),
    ),
    Tube(
        "right iliac vein",
        "venous blood",
        ((20, 12, -112, 10), (34, 4, -150, 8), (58, 18, -215, 7), (80, 50, -300, 7)),
    ),
    Tube(
        "left iliac vein",
        "venous blood",
        ((14, 12, -118, 9), (-26, 4, -150, 8), (-56, 18, -215, 7), (-78, 50, -300, 7)),
    ),
    Tube(
        "iliac artery",
        "arterial blood",
        ((4, 18, -112, 7), (34, 16, -150, 6), (60, 32, -215, 5), (86, 56, -300, 5)),
        mirrored=True,
    ),
    Tube(
        "superior mesenteric artery",
        "arterial blood",
        ((-7, 12, -20, 4), (-4, 30, -40, 4), (4, 36, -100, 3)),
    ),
    Tube("celiac trunk", "arterial blood", ((-8, 8, -8, 4), (-4, 22, -2, 3.5), (14, 22, 0, 3))),
    Tube(
        "right renal artery",
        "arterial blood",
        ((8, 4, -42, 3), (30, -12, -48, 3), (50, -24, -54, 3)),
    ),
    Tube(
        "left renal artery",
        "arterial blood",
        ((-14, 4, -34, 3), (-30, -14, -38, 3), (-48, -28, -40, 3)),
    ),
    Tube(
        "right renal vein", "venous blood", ((20, 8, -44, 5), (34, -8, -48, 4.5), (52, -22, -56, 4))
    ),
    Tube(
        "left renal vein",
        "venous blood",
        ((16, 16, -36, 5), (-10, 18, -36, 4.5), (-32, -8, -40, 4.5), (-50, -26, -42, 4)),
    ),
    Tube(
        "portal vein",
        "portal blood",
        ((6, 32, -90, 5), (10, 28, -40, 6), (22, 24, -12, 7), (40, 20, 6, 6)),
    ),
    Tube(
        "splenic vein",
        "portal blood",
        ((14, 26, -28, 5), (-20, 24, -14, 5), (-60, -2, -6, 4), (-84, -22, 6, 4)),
    ),
)
GLANDS = (
    Tube(
        "pancreas",
        "pancreas",
        ((36, 30, -66, 11), (30, 34, -44, 12), (4, 36, -28, 8), (-26, 28, -20, 9), (-66, 4, -8, 8)),
    ),
    Tube(
        "esophagus",
        "muscle",
        ((4, -24, 280, 6), (0, -30, 200, 6), (-6, -30, 120, 6), (-16, 4, 62, 7), (-38, 2, 48, 8)),
    ),
    Tube("thyroid", "gland", ((20, 8, 262, 8), (22, 4, 240, 5)), mirrored=True),
    Tube(
        "duodenum",
        "bowel content",
        (
            (22, 50, -34, 12),
            (44, 44, -38, 12),
            (48, 32, -66, 12),
            (40, 24, -92, 12),
            (0, 28, -98, 11),
        ),
        wall="bowel wall",
    ),
)
AIRWAYS = (
    Tube(
        "trachea",
        "air",
        ((0, -8, 310, 8.5), (0, -14, 230, 8.5), (0, -20, 170, 9)),
        wall="cartilage",
    ),
    Tube(
        "right main bronchus",
        "air",
        ((0, -20, 172, 8), (18, -24, 154, 7), (42, -24, 138, 5)),
        wall="cartilage",
    ),
    Tube(
        "left main bronchus",
        "air",
        ((0, -20, 172, 8), (-22, -24, 150, 6.5), (-46, -26, 134, 5)),
        wall="cartilage",
    ),
)


def paint_tubes(
    random: np.random.Generator,
    canvas: Canvas,
    tubes: Sequence[Tube],
    *,
    in_fat_within: Sequence[str] = ("lungs",),
) -> None:
    """Paint a table of tubes, each a little off its usual course.

    Args:
        random: Draws the courses.
        canvas: Where to paint.
        tubes: The table.
        in_fat_within: Labels in which the tubes bring along a thin layer of fat.
    """
    painted = []
    for tube in tubes:
        for side in (1, -1) if tube.mirrored else (1,):
            nodes = np.asarray(tube.nodes) * (side, 1, 1, 1)
            nodes = nodes + random.normal(0, (1.2, 1.2, 2.0, 0.0), nodes.shape)
            nodes[:, 3] *= random.normal(1, 0.06)
            painted.append((tube, *canvas.tube(smooth_path(nodes), margin_mm=2)))
    # All the fat first: where two tubes join, it would part them.
    for _, window, distance in painted:
        for label in in_fat_within:
            canvas.paint(window, distance - 2, "fat", label="background", within=label)
    for tube, window, distance in painted:
        if tube.wall is not None:
            canvas.paint(window, distance - 1.5, tube.wall, label="background")
        canvas.paint(window, distance, tube.content, label=tube.label)
