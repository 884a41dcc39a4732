"""A generated CT of a torso: anatomy painted from the outside in, then the scanner's part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter, uniform_filter1d

from selfscan.scans.phantom import belly, trees, tubes
from selfscan.scans.phantom.canvas import EVERYWHERE, Canvas
from selfscan.scans.phantom.chest import paint_chest
from selfscan.scans.phantom.fields import Grid, Triple, fractal_field
from selfscan.scans.phantom.girdles import paint_girdles
from selfscan.scans.phantom.patient import Patient
from selfscan.scans.phantom.ribs import paint_ribs
from selfscan.scans.phantom.spine import paint_spine
from selfscan.scans.phantom.trunk import Trunk, measure_trunk

SPACING_MM = (2.5, 2.5, 4.0)
FIELD_MM = (420.0, 340.0, 560.0)


@dataclass(frozen=True)
class Phantom:
    """One generated scan with its truth.

    Args:
        volume: HU, shape (X, Y, Z), axes to the right, anterior and superior.
        labels: Numbers of `PHANTOM_LABELS`, shape (X, Y, Z).
        affine: Voxel to RAS+ millimetres, shape (4, 4).
    """

    volume: npt.NDArray[np.int16]
    labels: npt.NDArray[np.uint8]
    affine: npt.NDArray[np.float64]


def phantom(seed: int, *, spacing_mm: Triple = SPACING_MM, field_mm: Triple = FIELD_MM) -> Phantom:
    """Generate the scan of one patient, from the lung apices to the hips.

    The patient is a function of the seed alone; spacing and field only choose how it is sampled,
    so that one patient can be had coarse and fine. The noise differs between grids.

    Args:
        seed: Which patient; zero or more.
        spacing_mm: Voxel size along right, anterior and superior.
        field_mm: Size of the scanned box around the middle of the torso.

    Raises:
        ValueError: A spacing or field that is not positive, or that gives fewer than eight voxels.
    """
    grid = Grid.covering(field_mm, spacing_mm)
    for_patient, for_grain, for_organs, for_noise = (
        np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(4)
    )
    patient = Patient.drawn(for_patient)
    points = patient.points(for_patient, grid)
    grain = fractal_field(for_grain, grid, scales_mm=(7.0, 20.0))
    canvas = Canvas(grid, points, grain, patient.tissues)
    trunk = measure_trunk(for_organs, canvas, patient)
    _paint_anatomy(for_organs, canvas, patient, trunk)
    _paint_table(canvas, trunk)
    _add_noise(for_noise, canvas, patient, trunk)
    volume = np.clip(np.rint(canvas.hu), -1024, 3071).astype(np.int16)
    return Phantom(volume, canvas.labels, grid.affine)


def _paint_anatomy(
    random: np.random.Generator, canvas: Canvas, patient: Patient, trunk: Trunk
) -> None:
    """From filler to solid: what is painted later lies in front."""
    trees.paint_trees(random, canvas, trunk, trees.MESENTERY)
    belly.paint_bowel(random, canvas, patient, trunk)
    tubes.paint_tubes(random, canvas, tubes.MUSCLES)
    belly.paint_colon(random, canvas, patient, trunk)
    belly.paint_bladder(random, canvas)
    paint_girdles(random, canvas, trunk)
    paint_ribs(canvas, trunk)
    paint_chest(random, canvas, trunk)
    paint_spine(canvas)
    tubes.paint_tubes(random, canvas, tubes.GLANDS)
    belly.paint_liver(random, canvas, trunk)
    belly.paint_gallbladder(random, canvas)
    belly.paint_spleen(random, canvas, trunk)
    belly.paint_stomach(random, canvas, patient, trunk)
    belly.paint_kidneys(random, canvas)
    trees.paint_twigs(random, canvas, "mixed blood", within="lungs", radius_mm=0.6, scale_mm=12.0)
    trees.paint_twigs(random, canvas, "venous blood", within="liver", radius_mm=1.2, scale_mm=22.0)
    tubes.paint_tubes(random, canvas, tubes.VESSELS, in_fat_within=("lungs", "background"))
    tubes.paint_tubes(random, canvas, tubes.AIRWAYS)
    trees.paint_trees(random, canvas, trunk, trees.TREES)


def _paint_table(canvas: Canvas, trunk: Trunk) -> None:
    """A hollow board of carbon fiber, bent up at the sides, that the back rests on."""
    x, y, _ = canvas.grid.axes
    above = y - (x[:, None] / 30) ** 2
    body = (trunk.skin < 0).any(axis=2)
    top = above[body].min() if body.any() else y[0]
    board = np.abs(above - top + 12) - 10
    board = np.broadcast_to(board[:, :, None], canvas.grid.shape)
    outside = np.maximum(board, 2 - trunk.skin)
    canvas.paint(EVERYWHERE, outside, "carbon fiber")
    canvas.paint(EVERYWHERE, outside + 2, "foam")


def _add_noise(random: np.random.Generator, canvas: Canvas, patient: Patient, trunk: Trunk) -> None:
    """Correlated noise, stronger deep in the body, with faint streaks from side to side."""
    noise = random.standard_normal(canvas.grid.shape, dtype=np.float32)
    streaks = uniform_filter1d(noise, max(3, round(60 / canvas.grid.spacing_mm[0])), axis=0)
    noise = gaussian_filter(noise, (0.7, 0.7, 0.4), truncate=2.5)
    deep = np.clip(0.55 - trunk.skin / 180, 0.3, 1.2)
    noise *= deep * (patient.noise_hu / float(noise.std()))
    streaks *= deep * (0.12 * patient.noise_hu / float(streaks.std()))
    canvas.hu += noise + streaks
