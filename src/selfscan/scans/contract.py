"""How a scan becomes stored voxels: one rule a store, applied by every later verb."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from selfscan.errors import ContractError, ScanError
from selfscan.scans.preparation.foreground import body_mask
from selfscan.scans.preparation.geometry import LabelResampling, resample, resample_labels, to_ras
from selfscan.scans.preparation.grid import require_same_grid
from selfscan.scans.preparation.modality import guess_modality
from selfscan.scans.scan import Modality, Scan

UNIT = 10_000  # the stored value of a percentile-scaled 1.0
_PERCENTILE_LIMITS = (-2 * UNIT, 3 * UNIT)
_INT16 = np.iinfo(np.int16)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A scan as a store holds it.

    Attributes:
        volume: Stored voxels (C, X, Y, Z), int16, RAS+.
        foreground: The body (X, Y, Z); everything where no body was found.
        affine: Voxel indices of the volume to millimeters (4, 4).
        modality: Of each channel.
        intensity_slope: Original units per stored unit, for each channel.
        intensity_intercept: Original value of a stored 0, for each channel.
        labels: Label map on the same grid (X, Y, Z), uint8 or int16.
        warnings: The scan's own, and what preparing it showed.
    """

    volume: npt.NDArray[np.int16]
    foreground: npt.NDArray[np.bool_]
    affine: npt.NDArray[np.float64]
    modality: tuple[Modality, ...]
    intensity_slope: tuple[float, ...]
    intensity_intercept: tuple[float, ...]
    labels: npt.NDArray[Any] | None = None
    warnings: tuple[str, ...] = ()

    @property
    def hounsfield(self) -> tuple[bool, ...]:
        """Whether each channel holds Hounsfield units."""
        return tuple(modality == "ct" for modality in self.modality)


@dataclass(frozen=True)
class PreprocessingContract:
    """Orientation, spacing and intensity rule of every volume in a store.

    CT keeps Hounsfield units. In any other modality the two percentiles become 0 and `UNIT`.

    Attributes:
        spacing: Millimeters along (X, Y, Z) that each scan is resampled to; None keeps its own.
        percentiles: What becomes 0 and `UNIT`, taken over the finite voxels of a channel.
        orientation: Axes of the stored volumes.
        version: Changed when the same fields come to mean other voxels.
    """

    spacing: tuple[float, float, float] | None = None
    percentiles: tuple[float, float] = (0.5, 99.5)
    orientation: str = "RAS"
    version: int = 1

    def __post_init__(self) -> None:
        """Refuse values without a meaning; numbers become floats, so that digests agree."""
        for name in ("spacing", "percentiles"):
            values = getattr(self, name)
            if values is not None:
                object.__setattr__(self, name, tuple(map(float, values)))
        if self.spacing is not None and not (
            len(self.spacing) == 3 and all(0 < step < float("inf") for step in self.spacing)
        ):
            raise ValueError(f"spacing must be three lengths above 0 mm, got {self.spacing}")
        low, high = self.percentiles
        if not 0 <= low < high <= 100:
            raise ValueError(f"percentiles must rise within 0 to 100, got {self.percentiles}")
        if self.orientation != "RAS":
            raise ValueError(f"orientation must be RAS, got {self.orientation}")

    def to_json(self) -> dict[str, Any]:
        """The fields, as `contract.json` holds them."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> PreprocessingContract:
        """The contract of these fields.

        Raises:
            ContractError: Fields are missing, unknown or out of range: another version of
                selfscan, or someone else, wrote them.
        """
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in fields.items()
        }
        known = set(asdict(cls()))
        if set(values) != known:
            raise ContractError(
                f"found a contract with the fields {sorted(values)}; expected {sorted(known)}; "
                "use the version of selfscan that wrote it, or prepare the store again"
            )
        try:
            return cls(**values)
        except (ValueError, TypeError) as error:
            raise ContractError(
                f"found a contract in which {error}; expected one as `selfscan prepare` writes it; "
                "copy it again, or prepare the store again"
            ) from error

    def digest(self) -> str:
        """A short digest of the fields."""
        text = json.dumps(self.to_json(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def require(self, other: PreprocessingContract) -> None:
        """Refuse data that were prepared another way.

        Raises:
            ContractError: A field differs; each is named with both values.
        """
        ours, theirs = self.to_json(), other.to_json()
        differing = [
            f"{name} {theirs[name]} where {ours[name]} is expected"
            for name in ours
            if ours[name] != theirs[name]
        ]
        if differing:
            raise ContractError(
                f"found another preprocessing: {'; '.join(differing)}; "
                "prepare the scans with the expected values"
            )

    def apply(
        self,
        scan: Scan,
        labels: Scan | None = None,
        *,
        label_resampling: LabelResampling = "nearest",
    ) -> Prepared:
        """Turn a scan, and its label map, into what a store holds.

        A channel of unknown modality is guessed from its values; the warnings say so.

        Raises:
            ScanError: Labels on another grid, or a channel whose percentiles coincide.
        """
        if labels is not None:
            require_same_grid(scan, labels)
        modality = tuple(
            known or guess_modality(channel)
            for known, channel in zip(scan.modality, scan.voxels, strict=True)
        )
        warnings = [
            f"modality guessed: {guess}"
            for known, guess in zip(scan.modality, modality, strict=True)
            if known is None
        ]
        scales = [
            (1.0, 0.0) if kind == "ct" else self._percentile_scale(scan, channel)
            for kind, channel in zip(modality, scan.voxels, strict=True)
        ]
        voxels, affine = to_ras(scan.voxels, scan.affine)
        if self.spacing is not None:
            voxels, affine = resample(voxels, affine, self.spacing)
        volume = np.stack(
            [
                _stored(channel, slope, intercept, kind)
                for channel, (slope, intercept), kind in zip(voxels, scales, modality, strict=True)
            ]
        )
        is_ct = tuple(kind == "ct" for kind in modality)
        foreground = body_mask(volume, is_ct, unit=UNIT)
        if not foreground.any():
            foreground = np.ones_like(foreground)
            warnings.append("no body found: the whole volume counts as foreground")
        return Prepared(
            volume=volume,
            foreground=foreground,
            affine=affine,
            modality=modality,
            intensity_slope=tuple(slope for slope, _ in scales),
            intensity_intercept=tuple(intercept for _, intercept in scales),
            labels=None if labels is None else self._labels(labels, scan.affine, label_resampling),
            warnings=(*scan.warnings, *(labels.warnings if labels else ()), *warnings),
        )

    def _percentile_scale(self, scan: Scan, channel: npt.NDArray[Any]) -> tuple[float, float]:
        low, high = np.percentile(channel, self.percentiles).tolist()
        if low == high:
            raise ScanError(
                scan.path,
                found=f"the value {low:g} at the {' and the '.join(map(str, self.percentiles))} "
                "percentile",
                expected="an image whose values differ",
                remedy="leave it out, or crop away what surrounds the image",
            )
        return (high - low) / UNIT, low

    def _labels(
        self, labels: Scan, affine: npt.NDArray[np.float64], how: LabelResampling
    ) -> npt.NDArray[Any]:
        array, affine = to_ras(labels.voxels[0], affine)
        if self.spacing is not None:
            array, _ = resample_labels(array, affine, self.spacing, how=how)
        return np.ascontiguousarray(array)


def _stored(
    channel: npt.NDArray[Any], slope: float, intercept: float, kind: Modality
) -> npt.NDArray[np.int16]:
    least, most = (_INT16.min, _INT16.max) if kind == "ct" else _PERCENTILE_LIMITS
    if (slope, intercept) == (1.0, 0.0) and channel.dtype.kind in "iu":
        return np.asarray(np.clip(channel, least, most), dtype=np.int16)
    scaled = (channel.astype(np.float32) - np.float32(intercept)) / np.float32(slope)
    return np.asarray(np.clip(np.rint(scaled), least, most), dtype=np.int16)
