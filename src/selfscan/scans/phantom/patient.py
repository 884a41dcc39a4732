"""What differs between patients: build, pose, contrast phase, organs; all drawn here, once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from selfscan.scans.phantom.fields import Grid, Volume, smooth_field

# Mean HU without contrast, in the arterial and in the portal venous phase; grain in HU.
TISSUES: dict[str, tuple[float, float, float, float]] = {
    "air": (-1000, -1000, -1000, 0),
    "gas": (-940, -940, -940, 5),
    "lung": (-862, -858, -855, 16),
    "fat": (-105, -104, -102, 10),
    "loose fat": (-75, -74, -72, 10),
    "skin": (5, 10, 15, 5),
    "muscle": (52, 60, 66, 10),
    "gland": (25, 40, 45, 12),
    "arterial blood": (42, 310, 165, 4),
    "mixed blood": (41, 190, 155, 4),
    "venous blood": (40, 85, 150, 5),
    "portal blood": (40, 75, 175, 4),
    "myocardium": (42, 110, 105, 6),
    "liver": (58, 72, 112, 6),
    "spleen": (47, 125, 122, 6),
    "renal cortex": (33, 185, 190, 6),
    "renal medulla": (30, 75, 165, 6),
    "pancreas": (38, 100, 92, 22),
    "bowel wall": (38, 85, 90, 7),
    "bowel content": (18, 18, 20, 14),
    "gastric content": (22, 24, 26, 12),
    "water": (6, 6, 8, 2),
    "cartilage": (95, 98, 100, 18),
    "disc": (80, 84, 88, 6),
    "cord": (32, 36, 38, 3),
    "cortical bone": (700, 700, 700, 60),
    "marrow": (190, 195, 200, 45),
    "carbon fiber": (-120, -120, -120, 0),
    "foam": (-930, -930, -930, 2),
}


@dataclass(frozen=True)
class Tissue:
    """What a part of one patient is made of: mean HU, and standard deviation of its grain."""

    hu: float
    grain: float


@dataclass(frozen=True)
class Patient:
    """One drawn patient.

    Args:
        tissues: Each tissue in this scan, by name.
        female: Has breasts and less muscle.
        fat_mm: Thickness of the fat under the skin at the waist.
        muscle: Factor on the thickness of the muscles of the wall.
        size: Factors on the torso along right, anterior, superior.
        turn: From the torso's axes to the scanner's, shape (3, 3).
        shift_mm: Where the center of the torso lies in the scanner.
        gas: How full of gas stomach and colon are, 0 to 1.
        noise_hu: Standard deviation of the noise in the middle of the body.
    """

    tissues: dict[str, Tissue]
    female: bool
    fat_mm: float
    muscle: float
    size: npt.NDArray[np.float64]
    turn: npt.NDArray[np.float64]
    shift_mm: npt.NDArray[np.float64]
    gas: float
    noise_hu: float

    @classmethod
    def drawn(cls, random: np.random.Generator) -> Patient:
        """Draw one from the population."""
        female = bool(random.random() < 0.5)
        # A fifth of the scans is native, the others lie around one of the two phases.
        phase = random.choice([0.0, 1.0, 2.0], p=[0.2, 0.2, 0.6]) + random.normal(0, 0.12)
        tissues = {}
        for name, (*means, grain) in TISSUES.items():
            hu = float(np.interp(phase, (0, 1, 2), means))
            tissues[name] = Tissue(hu + random.normal(0, 1) * grain / 3, grain)
        stature = random.normal(0.97 if female else 1.02, 0.025)
        return cls(
            tissues=tissues,
            female=female,
            fat_mm=float(np.clip(random.gamma(4.0, 4.5) + (4 if female else 0), 7, 38)),
            muscle=float(np.clip(random.normal(0.92 if female else 1.05, 0.1), 0.75, 1.3)),
            size=stature * np.clip(random.normal(1.0, 0.03, 3), 0.93, 1.07),
            turn=np.asarray(
                Rotation.from_euler(
                    "xyz", random.normal(0, (1.5, 1.5, 2.5)), degrees=True
                ).as_matrix()
            ),
            shift_mm=random.normal((0.0, 8.0, 0.0), (6.0, 4.0, 8.0)),
            gas=float(random.uniform(0.1, 0.8)),
            noise_hu=float(random.uniform(10, 20)),
        )

    def points(self, random: np.random.Generator, grid: Grid) -> Volume:
        """Where in the torso each voxel lies, mm, shape (3, X, Y, Z): pose, size, smooth warp."""
        inverse = (np.diag(1 / self.size) @ self.turn.T).astype(np.float32)
        x, y, z = (a - s for a, s in zip(grid.axes, self.shift_mm.tolist(), strict=True))
        points = np.empty((3, *grid.shape), dtype=np.float32)
        for out, (right, front, up) in zip(points, inverse, strict=True):
            out[...] = (right * x)[:, None, None] + (front * y)[:, None] + up * z
            out += 4.5 * smooth_field(random, grid, scale_mm=130.0)
            out += 1.6 * smooth_field(random, grid, scale_mm=45.0)
        return points
