"""Crops that lie obliquely, flipped, and resized, and a map between two of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from selfscan.scans.crops import Crop
from selfscan.training.registration import Registration

Affine = npt.NDArray[np.float64]


def turned(about_z: float, about_x: float) -> npt.NDArray[np.float64]:
    """A rotation by degrees."""
    a, b = np.radians([about_z, about_x])
    z = [[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]
    x = [[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]]
    return np.array(z) @ np.array(x)


def affine_of(linear: npt.ArrayLike, origin: npt.ArrayLike) -> Affine:
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = linear, origin
    return affine


OBLIQUE = affine_of(turned(25, 10) * [0.9, 1.1, 1.6], (-10, 5, 7))
FLIPPED = affine_of(np.diag([-1.2, -1.0, 2.0]), (14, 13, -4))
# A crop of 6 x 5 x 7 that covers 9 x 10 x 7 voxels from (-2, 3, 1) of an anisotropic scan.
RESIZED = np.diag([0.8, 0.7, 3.0, 1.0]) @ Crop(0, (-2, 3, 1), (6, 5, 7), (9, 10, 7)).to_scan


def a_registration(fixed: Affine, moving: Affine, *, seed: int = 0) -> Registration:
    """A map with a shear, a scaling and a rough displacement."""
    random = np.random.default_rng(seed)
    matrix = affine_of([[1, 0.1, 0], [-0.1, 1.05, 0], [0, 0.05, 0.9]], (-0.5, 0.3, 0.8))
    displacements = random.normal(0, 0.4, (3, 6, 5, 7)).astype(np.float32)
    return Registration(fixed, moving, matrix, displacements)
