"""The verb `predict`: segment scans, each result voxel for voxel on its original scan."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from lightning_fabric import Fabric
from rich.markup import escape

from selfscan.checkpoints.checkpoint import Checkpoint
from selfscan.errors import ScanError, SelfscanError
from selfscan.files import written_atomically
from selfscan.progress import Progress, console
from selfscan.scans.find import find
from selfscan.scans.formats.dicom import read_every_series
from selfscan.scans.formats.writing import write_nifti
from selfscan.scans.inputs.sources import Source
from selfscan.scans.preparation.geometry import resample_onto
from selfscan.scans.read import read
from selfscan.scans.scan import Modality, Scan
from selfscan.training.engine import EngineConfig
from selfscan.training.run_folder import open_run_folder
from selfscan.training.segmentation import (
    Segmenter,
    inference_fabric,
    load_segmenter,
    segment_volume,
)
from selfscan.training.start import prepare_alike

SUFFIX = ".nii.gz"
_COLUMNS = ("case", "source", "outcome", "reason")
_ENGINE = EngineConfig()


def predict(
    scans: Path | str | Sequence[Path],
    out: Path | str,
    *,
    checkpoint: Path,
    overlap: float = 0.5,
    modality: Literal["auto", "ct", "mr", "pt", "other"] = "auto",
    engine: EngineConfig = _ENGINE,
    resume: bool = False,
    overwrite: bool = False,
) -> list[Path]:
    """Write a label map for each scan, on the grid that the scan came on.

    Scans pass one at a time, so memory is bounded by the largest. One that cannot be used is
    reported and the others go on.

    Args:
        scans: Files, folders of files, DICOM folders, or a data list.
        out: The folder for CASE.nii.gz, a `dataset.json` with the names of the labels, and
            `predictions.csv`, which says what each source became.
        checkpoint: A fine-tuned run folder or checkpoint file.
        overlap: Share of a window that its neighbor covers too.
        modality: What all scans are. `auto` takes headers and data lists, and guesses the rest.
        engine: Where to compute; one process.
        resume: Go on in `out`, leaving alone the cases that are there.
        overwrite: Delete what `out` holds.

    Returns:
        The label maps, those of earlier runs included.

    Raises:
        SelfscanError: The checkpoint is no segmentation model, or no scan could be segmented.
        ValueError: An argument out of range; nothing was done.
    """
    arguments = dict(locals())
    if not 0 <= overlap < 1:
        raise ValueError(f"overlap must lie in [0, 1), got {overlap}")
    if modality not in ("auto", *get_args(Modality)):
        raise ValueError(f"modality must be auto, ct, mr, pt or other, got {modality!r}")
    out = Path(out)
    given = [Path(path) for path in ([scans] if isinstance(scans, str | Path) else scans)]
    if any(out.resolve().is_relative_to(path.resolve()) for path in given):
        raise ValueError(f"out must not lie inside the scans, got {out}")
    segmenter, model = load_segmenter(Path(checkpoint))
    found = find(given)
    fabric = inference_fabric(engine)
    open_run_folder(out, arguments, fabric=fabric, resume=resume, overwrite=overwrite)
    _write_label_names(out, segmenter.label_names)
    segmenter.to(fabric.device)
    known = None if modality == "auto" else modality

    outcomes = [_left_out("", item.path, item.reason) for item in found.unusable]
    with Progress("predict", total=len(found.sources), unit="scans") as progress:
        for source in found.sources:
            outcomes += _segment_source(source, out, known, segmenter, model, overlap, fabric)
            progress.advance()
    with written_atomically(out / "predictions.csv") as temporary, temporary.open("w") as file:
        csv.writer(file).writerows([_COLUMNS, *outcomes])
    written = [out / f"{case}{SUFFIX}" for case, _, outcome, _ in outcomes if outcome == "written"]
    if not written:
        raise SelfscanError(
            f"{', '.join(map(str, given))}: found no scan that could be segmented among "
            f"{len(outcomes)}; the reasons stand above and in {out / 'predictions.csv'}"
        )
    left_out = len(outcomes) - len(written)
    console.print(f"{len(written)} label maps in {out}; {left_out} left out", soft_wrap=True)
    return written


def segment_scan(
    scan: Scan, segmenter: Segmenter, model: Checkpoint, *, overlap: float, fabric: Fabric
) -> npt.NDArray[Any]:
    """The labels of a scan as it was read, on its own grid, (I, J, K).

    The scan is prepared as the model's training data were; probabilities are carried back class by
    class, and the largest wins. On an equal grid that moves voxels and interpolates nothing.

    Raises:
        ScanError: The scan has another number of channels than the model, or cannot be prepared.
    """
    prepared = prepare_alike(scan, model)
    with fabric.autocast():
        probabilities = segment_volume(
            segmenter,
            prepared.volume,
            prepared.hounsfield,
            crop_size=model.crop_size,
            overlap=overlap,
            device=fabric.device,
        )
    labels = np.zeros(scan.shape, dtype=np.uint8 if len(probabilities) <= 256 else np.int16)
    largest = np.full(scan.shape, -np.inf, dtype=np.float32)
    for label in range(len(probabilities)):
        single = probabilities[label : label + 1]
        (share,) = resample_onto(single, prepared.affine, scan.shape, scan.affine)
        labels[share > largest] = label
        np.maximum(largest, share, out=largest)
    return labels


def _segment_source(
    source: Source,
    out: Path,
    modality: Modality | None,
    segmenter: Segmenter,
    model: Checkpoint,
    overlap: float,
    fabric: Fabric,
) -> list[tuple[str, str, str, str]]:
    """What became of each scan of a source."""
    if source.kind == "file" and (out / f"{source.name}{SUFFIX}").exists():
        return [(source.name, str(source.images[0]), "written", "")]
    scans, refused = _scans_of(source, modality)
    outcomes = [_left_out(source.name, error.path, error.reason) for error in refused]
    for number, scan in enumerate(scans, start=1):
        case = source.name if len(scans) == 1 else f"{source.name}-{number}"
        path = out / f"{case}{SUFFIX}"
        try:
            if not path.exists():
                labels = segment_scan(scan, segmenter, model, overlap=overlap, fabric=fabric)
                write_nifti(path, labels, scan.affine)
            outcomes.append((case, str(source.images[0]), "written", ""))
        except ScanError as error:
            outcomes.append(_left_out(case, error.path, error.reason))
    return outcomes


def _scans_of(source: Source, modality: Modality | None) -> tuple[list[Scan], list[ScanError]]:
    """The scans of a source, of which a DICOM folder may hold several, and what is none."""
    if source.kind == "file":
        try:
            return [read(source.images, modality or source.modality)], []
        except ScanError as error:
            return [], [error]
    images = source.images[0] if len(source.images) == 1 else source.images
    scans, refused = read_every_series(images)
    return [replace(scan, modality=(modality or scan.modality[0],)) for scan in scans], refused


def _left_out(case: str, path: Path, reason: str) -> tuple[str, str, str, str]:
    console.print(f"[yellow]left out[/] {escape(f'{path}: {reason}')}", soft_wrap=True)
    return case, str(path), "left out", reason


def _write_label_names(folder: Path, label_names: dict[int, str]) -> None:
    """The names of the labels, as nnU-Net's `dataset.json` has them."""
    described = {"labels": {name: v for v, name in label_names.items()}, "file_ending": SUFFIX}
    with written_atomically(folder / "dataset.json") as temporary:
        temporary.write_text(json.dumps(described, indent=2) + "\n")
