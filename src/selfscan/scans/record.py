"""What a store knows of each scan without opening its volume: one row of the index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pyarrow as pa

from selfscan.scans.scan import BURNED_IN

Voxel = tuple[int, int, int]
Kind = Literal["volumes", "foreground", "labels"]

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("subject", pa.string()),
        ("modality", pa.list_(pa.string())),
        ("shape", pa.list_(pa.int32(), 3)),
        ("spacing", pa.list_(pa.float64(), 3)),
        ("affine", pa.list_(pa.list_(pa.float64(), 4), 4)),
        ("intensity_slope", pa.list_(pa.float64())),
        ("intensity_intercept", pa.list_(pa.float64())),
        ("foreground_fraction", pa.float64()),
        ("foreground_box", pa.list_(pa.list_(pa.int32(), 3), 2)),
        ("source_digest", pa.string()),
        ("volume_digest", pa.string()),
        ("split", pa.string()),
        ("labelled", pa.bool_()),
        ("warnings", pa.list_(pa.string())),
        ("fingerprint", pa.list_(pa.int8())),
        ("detail", pa.list_(pa.int8())),
        ("near_duplicate_of", pa.string()),
        ("file_lengths", pa.list_(pa.int64())),
        ("file_digests", pa.list_(pa.string())),
    ]
)
LATER = (
    "fingerprint",
    "detail",
    "near_duplicate_of",
    "file_lengths",
    "file_digests",
)  # columns that stores of earlier versions lack
OPTIONAL = ("split", "near_duplicate_of")  # that not every scan has


@dataclass(frozen=True)
class ScanRecord:
    """One scan of a store.

    Attributes:
        id: The name of the case, and of its files in the store.
        subject: Salted digest of the patient's key: equal for scans of one patient.
        modality: `ct`, `mr`, `pt` or `other` for each channel.
        shape: Voxels along (X, Y, Z).
        spacing: Millimeters along (X, Y, Z).
        affine: Voxel indices of the stored volume to millimeters in RAS+, (4, 4).
        intensity_slope: Original units per stored unit, for each channel.
        intensity_intercept: Original value of a stored 0, for each channel.
        foreground_fraction: Share of voxels inside the body.
        foreground_box: Smallest box around the foreground, first voxel and one past the last.
        source_digest: SHA-256 of the voxels as they were read.
        volume_digest: SHA-256 of the stored volume.
        split: The split that the user put the scan in, if any.
        labelled: Whether the store holds a label map for it.
        warnings: What a careful reader should know.
        fingerprint: What tells the scan again (`fingerprint`); empty in stores of earlier versions.
        detail: Settles whether two scans of near fingerprints are one image; may be empty likewise.
        near_duplicate_of: The scan, first in the order of preference, that this one nearly repeats.
        file_lengths: Bytes of its files, in the order of `kinds`; empty in stores of earlier
            versions.
        file_digests: Their SHA-256, likewise.
    """

    id: str
    subject: str
    modality: tuple[str, ...]
    shape: Voxel
    spacing: tuple[float, float, float]
    affine: tuple[tuple[float, ...], ...]
    intensity_slope: tuple[float, ...]
    intensity_intercept: tuple[float, ...]
    foreground_fraction: float
    foreground_box: tuple[Voxel, Voxel]
    source_digest: str
    volume_digest: str
    split: str | None = None
    labelled: bool = False
    warnings: tuple[str, ...] = ()
    fingerprint: tuple[int, ...] = ()
    detail: tuple[int, ...] = ()
    near_duplicate_of: str | None = None
    file_lengths: tuple[int, ...] = ()
    file_digests: tuple[str, ...] = ()

    @property
    def channels(self) -> int:
        """The number of channels."""
        return len(self.modality)

    @property
    def hounsfield(self) -> tuple[bool, ...]:
        """Whether each channel holds Hounsfield units."""
        return tuple(modality == "ct" for modality in self.modality)

    @property
    def burned_in(self) -> bool:
        """Whether its header says that text stands in the pixels, which may be a name."""
        return any(BURNED_IN in warning for warning in self.warnings)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The folders of a store that hold a file of this scan."""
        return ("volumes", "foreground", *(("labels",) if self.labelled else ()))

    def to_row(self) -> dict[str, Any]:
        """The row of the index, also fit for JSON."""
        return asdict(self)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> ScanRecord:
        """The record of a row, whose lists become tuples; columns that came later may lack."""
        return cls(**{name: _as_tuple(row[name]) for name in SCHEMA.names if name in row})


def _as_tuple(value: Any) -> Any:
    return tuple(_as_tuple(item) for item in value) if isinstance(value, list | tuple) else value
