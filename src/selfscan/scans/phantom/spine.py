"""The spine: vertebrae strung on a bent line, discs between them, the canal behind."""

from __future__ import annotations

import numpy as np

from selfscan.scans.phantom.canvas import Canvas

# From C6 to the tip of the coccyx: height of the middle of the body, its y, half width and half
# depth of the body, half the height of a disc; mm.
VERTEBRAE = np.array(
    [
        (305, -14, 13, 9, 2.0),  # C6
        (284, -20, 14, 10, 2.0),
        (262, -28, 15, 11, 2.0),  # T1
        (240, -36, 15, 11, 2.0),
        (218, -43, 15, 12, 2.0),
        (196, -49, 15, 13, 2.0),
        (174, -53, 16, 14, 2.0),
        (151, -55, 16, 14, 2.0),
        (128, -55, 17, 15, 2.2),
        (105, -53, 17, 15, 2.4),
        (82, -49, 18, 15, 2.5),
        (58, -44, 19, 16, 2.8),
        (34, -38, 20, 16, 3.0),
        (9, -32, 21, 16, 3.3),  # T12
        (-19, -25, 22, 17, 4.0),
        (-50, -18, 23, 17, 4.5),
        (-83, -12, 24, 17, 5.0),
        (-116, -11, 25, 18, 5.0),
        (-148, -17, 26, 18, 4.5),  # L5
        (-177, -36, 44, 18, 1.5),
        (-200, -55, 42, 16, 0.8),
        (-220, -70, 32, 13, 0.7),
        (-238, -80, 22, 9, 0.6),
        (-253, -84, 14, 7, 0.6),  # S5
        (-268, -80, 8, 6, 0.8),
        (-280, -74, 5, 5, 1.0),
    ]
)
_LOWEST_FREE = 18  # number of L5 in the table, from C6 = 0


def paint_spine(canvas: Canvas) -> None:
    """Vertebrae with arches and processes, discs, the canal with the cord."""
    window = canvas.window((-58, -125, -290), (58, 22, 330))
    x, y, z = canvas.at(window)
    heights, *columns = VERTEBRAE[::-1].T
    middle, half_width, half_depth, half_disc = (
        np.interp(z, heights, column).astype(np.float32) for column in columns
    )
    lean = np.interp(z, heights, np.gradient(columns[0], heights)).astype(np.float32)
    forward = y - middle

    # Height along the bent column, counted in vertebrae.
    level = np.interp(z + lean * forward, heights, np.arange(len(heights))).astype(np.float32)
    pitch = np.interp(z, heights, np.gradient(heights)).astype(np.float32)
    along = (level - np.round(level)) * pitch
    free = level > len(heights) - 1 - _LOWEST_FREE - 0.5
    fraction = np.hypot(x / half_width, forward / half_depth) + 1e-3
    waist = 1 + 0.10 * np.clip(np.abs(2 * along / pitch), 0, 1) ** 2
    column_distance = (fraction - waist) * np.minimum(half_width, half_depth)
    # Endplates are hollow; the disc between them bulges.
    endplate = np.abs(along) - pitch / 2 + half_disc
    endplate += 2.0 * (1 - np.minimum(fraction, 1) ** 2) * (pitch > 20)
    bodies = np.maximum(column_distance, endplate)

    canal = forward + half_depth + 8
    from_canal = np.hypot(x / 1.15, canal)
    arch = np.abs(from_canal - 11) - 3.0
    arch = np.maximum(arch, np.abs(along + 4) - 0.36 * pitch)
    slanted = along - 0.35 * canal - 2
    spinous = np.maximum(np.abs(x) - 3.2, np.abs(slanted + 6) - 0.26 * pitch)
    spinous = np.maximum(spinous, np.abs(canal + 25) - np.where(free, 15, 9).astype(np.float32))
    wing = np.abs(x)
    transverse = np.hypot(canal + 6 + 0.12 * wing, along) - 4.5
    transverse = np.maximum(transverse, np.abs(wing - 21) - 11)
    transverse = np.where(free, transverse, np.float32(9))
    processes = np.minimum(np.minimum(arch, spinous), transverse)

    cavity = np.maximum(from_canal - 9.5, -290 - z)
    canvas.paint(window, column_distance, "disc", label="spine")
    canvas.paint_bone(window, processes, shell_mm=2.4, label="spine")
    canvas.paint_bone(window, bodies, label="spine")
    canvas.paint(window, cavity, "water", label="background")
    cord_end = np.maximum(from_canal - 5.0, -35 - z)
    canvas.paint(window, cord_end, "cord")
