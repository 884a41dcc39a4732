"""Three coarse torsos that all tests of anatomy look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

from selfscan.scans.phantom import PHANTOM_LABELS, Phantom, phantom
from selfscan.scans.phantom.canvas import Canvas
from selfscan.scans.phantom.fields import Grid
from selfscan.scans.phantom.patient import TISSUES, Tissue

SPACING_MM = (5.0, 5.0, 6.0)


@dataclass(frozen=True)
class Torso:
    """A phantom, with the questions that tests ask of it."""

    scan: Phantom

    def mask(self, organ: str) -> npt.NDArray[np.bool_]:
        (number,) = (n for n, name in PHANTOM_LABELS.items() if name == organ)
        return self.scan.labels == number

    def places(self, organ: str) -> npt.NDArray[np.float64]:
        """World coordinates of an organ's voxels, shape (N, 3)."""
        return np.argwhere(self.mask(organ)) @ self.scan.affine[:3, :3].T + self.scan.affine[:3, 3]

    def center(self, organ: str) -> npt.NDArray[np.float64]:
        return self.places(organ).mean(axis=0)

    def hu(self, organ: str) -> npt.NDArray[np.int16]:
        return self.scan.volume[self.mask(organ)]

    def milliliters(self, organ: str) -> float:
        return float(self.mask(organ).sum() * np.prod(np.diag(self.scan.affine)[:3]) / 1000)


@pytest.fixture(scope="session")
def torsos() -> list[Torso]:
    # Seed 0 is a lean man in the arterial phase, 5 a woman in the portal one, 21 a native scan.
    return [Torso(phantom(seed, spacing_mm=SPACING_MM)) for seed in (0, 5, 21)]


@pytest.fixture
def plain_canvas() -> Canvas:
    """A canvas whose torso is the scanner: no pose, no warp, no grain."""
    grid = Grid((40, 36, 32), (3.0, 3.0, 4.0))
    points = np.stack(np.meshgrid(*grid.axes, indexing="ij"))
    tissues: Mapping[str, Tissue] = {n: Tissue(row[0], 0.0) for n, row in TISSUES.items()}
    return Canvas(grid, points, np.zeros(grid.shape, np.float32), tissues)
