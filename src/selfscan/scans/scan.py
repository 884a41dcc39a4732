"""The one object that every reader returns: voxels in memory, and where they are in the patient."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Modality = Literal["ct", "mr", "pt", "other"]
# The warning of scans that are not pictured.
BURNED_IN = "burned-in annotation (BurnedInAnnotation YES): text in the pixels, perhaps a name"


@dataclass(frozen=True, eq=False)
class Scan:
    """A scan, or a label map, as its files say it is: not yet reoriented, resampled or scaled.

    Attributes:
        voxels: Values (C, X, Y, Z) in the order of the file, slope and intercept applied; integers
            where the file holds integers, else float32. Finite.
        affine: Voxel indices to millimeters in RAS+ (4, 4).
        modality: What the files say of each channel; None where they say nothing.
        subject: The key of the patient as the files have it. It identifies a person: digest it,
            never store or print it.
        source: The files that were read.
        warnings: What a careful reader should know, without names of files or patients.
    """

    voxels: npt.NDArray[Any]
    affine: npt.NDArray[np.float64]
    modality: tuple[Modality | None, ...] = (None,)
    subject: str | None = None
    source: tuple[Path, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along (X, Y, Z)."""
        x, y, z = self.voxels.shape[1:]
        return x, y, z

    @property
    def path(self) -> Path:
        """The file that names this scan in messages."""
        return self.source[0] if self.source else Path("scan")

    def with_warnings(self, *warnings: str) -> Scan:
        """The same scan with more to know about it."""
        return replace(self, warnings=(*self.warnings, *warnings))
