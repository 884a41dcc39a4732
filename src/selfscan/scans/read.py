"""Files to one `Scan`: NIfTI, NRRD, MetaImage and DICOM, or an error that says what is wrong.

What is read is true or refused: spacing, orientation, scale and values are never guessed in
silence. What was guessed or repaired stands in `Scan.warnings`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from selfscan.errors import ScanError
from selfscan.scans.formats.dicom import read_series
from selfscan.scans.formats.itk import read_itk
from selfscan.scans.formats.nifti import read_nifti
from selfscan.scans.formats.suffixes import KNOWN_SUFFIXES, suffix_of
from selfscan.scans.inputs.contents import first_bytes, is_dicom
from selfscan.scans.limits import refuse_for_memory
from selfscan.scans.preparation.grid import require_same_grid, require_volume
from selfscan.scans.preparation.values import require_labels, require_values
from selfscan.scans.scan import Modality, Scan

__all__ = ["Modality", "Scan", "read", "read_labels", "read_series"]


def read(
    source: Path | str | Sequence[Path | str],
    modality: Modality | Sequence[Modality | None] | None = None,
) -> Scan:
    """Read one scan from a file, a DICOM folder, or one file a channel.

    Args:
        source: A file, a folder with one DICOM series, or files of co-registered channels.
        modality: What the scan is, one word for all channels or one a channel; what it leaves
            open is what the files say.

    Returns:
        The scan, with finite values that are not constant.

    Raises:
        ScanError: The scan cannot be used; the message says what was found and what to do.
    """
    paths = [Path(source)] if isinstance(source, (str, Path)) else [Path(path) for path in source]
    if not paths:
        raise ValueError("read needs at least one path, got none")
    try:
        scan = _read(paths)
    except MemoryError as error:
        refuse_for_memory(paths[0], error)
    if modality is None:
        return scan
    given = [modality] * len(scan.modality) if isinstance(modality, str) else list(modality)
    if len(given) != len(scan.modality):
        raise ValueError(f"got {len(given)} modalities for {len(scan.modality)} channels")
    return replace(scan, modality=tuple(a or b for a, b in zip(given, scan.modality, strict=True)))


def read_labels(path: Path | str) -> Scan:
    """Read a label map: whole numbers from 0, as uint8 where they fit and int16 otherwise.

    Raises:
        ScanError: As for `read`, or a value that is negative, fractional, NaN or above 32,767. A
            map without foreground is allowed.
    """
    try:
        return require_labels(require_volume(_read_file(Path(path))))
    except MemoryError as error:
        refuse_for_memory(Path(path), error)


def _read(paths: list[Path]) -> Scan:
    if len(paths) > 1 and all(is_dicom(path) for path in paths):
        channels = [_only(read_series(paths), paths[0])]
    else:
        channels = [_read_channel(path) for path in paths]
    for channel in channels[1:]:
        require_same_grid(channels[0], channel)
    return _stacked(channels)


def _read_channel(path: Path) -> Scan:
    if path.is_dir() or (is_dicom(path) and suffix_of(path) not in KNOWN_SUFFIXES):
        return _only(read_series(path), path)
    return require_values(require_volume(_read_file(path)))


def _read_file(path: Path) -> Scan:
    """One NIfTI, NRRD or MetaImage file, chosen by suffix, before any check of its values."""
    if path.is_dir():
        raise ScanError(path, found="a folder", expected="one file", remedy="name the file in it")
    first_bytes(path)
    suffix = suffix_of(path)
    if suffix in (".nii", ".nii.gz"):
        return read_nifti(path)
    if suffix in KNOWN_SUFFIXES:
        return read_itk(path)
    raise ScanError(
        path,
        found=f"the suffix {suffix!r}",
        expected=f"one of {', '.join(KNOWN_SUFFIXES)} or DICOM",
        remedy="convert it to NIfTI, with its spacing and orientation",
    )


def _only(scans: list[Scan], path: Path) -> Scan:
    if len(scans) == 1:
        return scans[0]
    raise ScanError(
        path,
        found=f"{len(scans)} volumes in one folder",
        expected="one series",
        remedy="give each series a folder of its own, or use read_series",
    )


def _stacked(channels: list[Scan]) -> Scan:
    """Channels (1, X, Y, Z) of one grid as one scan (C, X, Y, Z) on the grid of the first."""
    if len(channels) == 1:
        return channels[0]
    kind = np.result_type(*(channel.voxels.dtype for channel in channels))
    voxels = np.concatenate(
        [channel.voxels for channel in channels],
        dtype=np.float32 if kind.kind == "f" else kind,
        casting="same_kind",
    )
    subjects = [channel.subject for channel in channels if channel.subject is not None]
    return Scan(
        voxels,
        channels[0].affine,
        modality=tuple(name for channel in channels for name in channel.modality),
        subject=subjects[0] if subjects else None,
        source=tuple(path for channel in channels for path in channel.source),
        warnings=tuple(
            f"channel {number}: {warning}"
            for number, channel in enumerate(channels)
            for warning in channel.warnings
        ),
    )
