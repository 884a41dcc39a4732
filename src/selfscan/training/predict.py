"""The verb `predict`: segment scans, each on its own grid, or classify them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

from rich.markup import escape

from selfscan.errors import ScanError, SelfscanError
from selfscan.files import written_atomically
from selfscan.progress import Progress, console
from selfscan.scans.find import find
from selfscan.scans.formats.dicom import read_every_series
from selfscan.scans.inputs.sources import Source
from selfscan.scans.read import read
from selfscan.scans.scan import Modality, Scan
from selfscan.training.classifier import Classifier
from selfscan.training.engine import EngineConfig
from selfscan.training.predictions import ClassTable, LabelMaps, Predictions, load_model
from selfscan.training.run_folder import open_run_folder
from selfscan.training.segmentation import inference_fabric

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
    """Write a label map for each scan, on the grid that the scan came on, or its class.

    Scans pass one at a time, so memory is bounded by the largest. One that cannot be used is
    reported and the others go on.

    Args:
        scans: Files, folders of files, DICOM folders, or a data list.
        out: The folder for CASE.nii.gz and a `dataset.json` with the names of the labels; or for
            `classes.csv`, with the probability of each class, where the model classifies scans. In
            both, `predictions.csv` says what each source became.
        checkpoint: A fine-tuned run folder or checkpoint file.
        overlap: Share of a window that its neighbor covers too.
        modality: What all scans are. `auto` takes headers and data lists, and guesses the rest.
        engine: Where to compute; one process.
        resume: Go on in `out`, leaving alone the cases that are there.
        overwrite: Delete what `out` holds.

    Returns:
        The label maps, those of earlier runs included; or the table of classes.

    Raises:
        SelfscanError: The checkpoint is only pre-trained, or no scan could be read.
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
    model, trained = load_model(Path(checkpoint))
    found = find(given)
    fabric = inference_fabric(engine)
    open_run_folder(out, arguments, fabric=fabric, resume=resume, overwrite=overwrite)
    model.to(fabric.device)
    predictions: Predictions = (
        ClassTable(out, model, trained, overlap=overlap, fabric=fabric)
        if isinstance(model, Classifier)
        else LabelMaps(out, model, trained, overlap=overlap, fabric=fabric)
    )
    known = None if modality == "auto" else modality

    outcomes = [_left_out("", item.path, item.reason) for item in found.unusable]
    with Progress("predict", total=len(found.sources), unit="scans") as progress:
        for source in found.sources:
            outcomes += _predict_source(source, predictions, known)
            progress.advance()
    with written_atomically(out / "predictions.csv") as temporary, temporary.open("w") as file:
        csv.writer(file).writerows([_COLUMNS, *outcomes])
    written = [case for case, _, outcome, _ in outcomes if outcome == "written"]
    if not written:
        raise SelfscanError(
            f"{', '.join(map(str, given))}: found no scan that could be "
            f"{predictions.done_to_a_scan} among {len(outcomes)}; the reasons stand above and in "
            f"{out / 'predictions.csv'}"
        )
    left_out = len(outcomes) - len(written)
    console.print(
        f"{len(written)} {predictions.what} in {out}; {left_out} left out", soft_wrap=True
    )
    return predictions.files(written)


def _predict_source(
    source: Source, predictions: Predictions, modality: Modality | None
) -> list[tuple[str, str, str, str]]:
    """What became of each scan of a source."""
    if source.kind == "file" and predictions.holds(source.name):
        return [(source.name, str(source.images[0]), "written", "")]
    scans, refused = _scans_of(source, modality)
    outcomes = [_left_out(source.name, error.path, error.reason) for error in refused]
    for number, scan in enumerate(scans, start=1):
        case = source.name if len(scans) == 1 else f"{source.name}-{number}"
        try:
            if not predictions.holds(case):
                predictions.add(case, scan)
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
