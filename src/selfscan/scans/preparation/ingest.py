"""One source into a store: read, prepared and written by one worker, noted in one small file.

The note is written last: a process killed at any moment leaves a source that is wholly in the
store, or one that the next run takes up again.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from selfscan.errors import ScanError
from selfscan.scans.contract import Prepared
from selfscan.scans.fingerprint import fingerprint_and_detail
from selfscan.scans.formats.dicom import read_every_series
from selfscan.scans.inputs.sources import Source, Unusable
from selfscan.scans.preparation.foreground import bounding_box
from selfscan.scans.preparation.geometry import spacing_of
from selfscan.scans.preparation.notes import Note, Settings, note_path, stamp_of
from selfscan.scans.read import read, read_labels
from selfscan.scans.record import ScanRecord
from selfscan.scans.scan import Scan
from selfscan.scans.volumes import write_volume


def ingest(source: Source, out: Path | None, settings: Settings) -> Note:
    """Put the scans of one source into a store; what cannot be used stands in the note.

    Without a store nothing is written, and the note says what would be.
    """
    stamp = stamp_of(settings, source)
    records: list[ScanRecord] = []
    unusable: list[Unusable] = []
    values: set[int] = set()
    try:
        scans, refused = _scans(source, settings)
        unusable += [Unusable(error.path, error.reason) for error in refused]
        labels = None if source.labels is None else _labels(source, scans, settings)
        for number, scan in enumerate(scans, start=1):
            name = source.name if len(scans) == 1 else f"{source.name}-{number}"
            prepared = settings.contract.apply(
                scan, labels, label_resampling=settings.label_resampling
            )
            records.append(store_scan(name, scan, prepared, out, settings, source))
            if prepared.labels is not None:
                values |= set(np.unique(prepared.labels).tolist())
    except ScanError as error:
        unusable.append(Unusable(error.path, error.reason))
    note = Note(stamp, tuple(records), tuple(sorted(values)), tuple(unusable))
    if out is None:
        return note
    path = note_path(out, settings, source)
    if records:
        note.write(path)
    else:
        path.unlink(missing_ok=True)
    return note


def store_scan(
    name: str, scan: Scan, prepared: Prepared, out: Path | None, settings: Settings, source: Source
) -> ScanRecord:
    """Write the volumes of a prepared scan; the row that the index will have for it."""
    stored = {"volumes": prepared.volume, "foreground": prepared.foreground}
    if prepared.labels is not None:
        stored["labels"] = prepared.labels
    written = [
        write_volume(out / kind / f"{name}.b2nd", part)
        for kind, part in stored.items()
        if out is not None
    ]
    x, y, z = prepared.foreground.shape
    fingerprint, detail = fingerprint_and_detail(prepared.volume, prepared.hounsfield)
    return ScanRecord(
        id=name,
        subject=settings.digest(scan.subject or source.patient),
        modality=prepared.modality,
        shape=(x, y, z),
        spacing=spacing_of(prepared.affine),
        affine=tuple(map(tuple, prepared.affine.tolist())),
        intensity_slope=prepared.intensity_slope,
        intensity_intercept=prepared.intensity_intercept,
        foreground_fraction=float(prepared.foreground.mean()),
        foreground_box=bounding_box(prepared.foreground),
        # Readers give voxels in the order of the file, x fastest: reversed, no copy is needed.
        source_digest=_array_digest(scan.voxels.T),
        volume_digest=_array_digest(prepared.volume),
        split=source.split,
        labelled=prepared.labels is not None,
        warnings=prepared.warnings,
        fingerprint=fingerprint,
        detail=detail,
        file_lengths=tuple(file.length for file in written),
        file_digests=tuple(file.digest for file in written),
    )


def _scans(source: Source, settings: Settings) -> tuple[list[Scan], list[ScanError]]:
    if source.kind == "file":
        return [read(source.images, settings.modality or source.modality)], []
    found = source.images[0] if len(source.images) == 1 else source.images
    scans, refused = read_every_series(found)
    if settings.modality is not None:
        known = settings.modality
        scans = [replace(scan, modality=(known,) * len(scan.modality)) for scan in scans]
    return scans, refused


def _labels(source: Source, scans: list[Scan], settings: Settings) -> Scan:
    assert source.labels is not None
    if len(scans) != 1:
        raise ScanError(
            source.labels,
            found=f"one label map for {len(scans)} volumes",
            expected="one volume",
            remedy="give each volume a folder of its own",
        )
    labels = read_labels(source.labels)
    unnamed = set(np.unique(labels.voxels).tolist()) - {0, *settings.label_values}
    if settings.label_values and unnamed:
        raise ScanError(
            source.labels,
            found=f"label values without a name: {', '.join(map(str, sorted(unnamed)))}",
            expected=f"values of the data list: {', '.join(map(str, settings.label_values))}",
            remedy="name them in the data list or correct the map",
        )
    return labels


def _array_digest(array: npt.NDArray[Any]) -> str:
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
