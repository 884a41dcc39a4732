"""Score label maps on disk against the truth: Dice, NSD and HD95, case by case."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from selfscan.errors import ScanError, SelfscanError
from selfscan.files import claim_folder
from selfscan.metrics import ClassMetrics, case_metrics
from selfscan.progress import Progress, console
from selfscan.scans.formats.suffixes import KNOWN_SUFFIXES, stem_of, suffix_of
from selfscan.scans.inputs.description import label_names as label_names_in
from selfscan.scans.inputs.description import read_json
from selfscan.scans.preparation.geometry import spacing_of
from selfscan.scans.preparation.grid import require_same_grid
from selfscan.scans.read import read_labels
from selfscan.training.scores import print_scores, save_scores, score_rows


def evaluate(
    predictions: Path | str,
    labels: Path | str,
    out: Path | str | None = None,
    *,
    tolerance_mm: float = 2.0,
    label_names: dict[int, str] | None = None,
    overwrite: bool = False,
) -> pd.DataFrame:
    """Score predicted label maps against true ones of the same names.

    A class that is absent from prediction and truth of a case has no score there; absent from one,
    it scores Dice 0 and NSD 0, and has no HD95. Both are counted in the table.

    Args:
        predictions: A folder of label maps, or one file.
        labels: The true ones: a folder, or one file.
        out: A folder for `cases.parquet`, `cases.csv` and `summary.csv`; None only prints.
        tolerance_mm: Distance up to which surfaces count as equal, for NSD.
        label_names: Names of the label values. By default the `labels` of a `dataset.json` beside
            the predictions or the labels; else every value that occurs, by its number.
        overwrite: Delete what `out` holds.

    Returns:
        One row a case and class: `case`, `label`, `class`, `dice`, `nsd`, `hd95` in mm, `empty`.

    Raises:
        SelfscanError: No prediction has a label map of its name, or no pair can be read.
    """
    if tolerance_mm < 0:
        raise ValueError(f"tolerance_mm must not be negative, got {tolerance_mm}")
    predictions, labels = Path(predictions), Path(labels)
    pairs = _pairs(predictions, labels)
    names = label_names or _written_names(predictions, labels)
    folder = None if out is None else claim_folder(Path(out), overwrite=overwrite)
    rows = []
    with Progress("evaluate", total=len(pairs), unit="cases") as progress:
        for case, (prediction, truth) in pairs.items():
            try:
                rows += score_rows(case, _score(prediction, truth, names, tolerance_mm))
            except ScanError as error:
                console.print(f"left out {case}: {error}", style="yellow", markup=False)
            progress.advance()
    if not rows:
        raise SelfscanError(f"{predictions}: no case could be scored; the reasons stand above")
    cases = pd.DataFrame(rows)
    print_scores(cases, title=f"{predictions} against {labels}", tolerance_mm=tolerance_mm)
    if folder is not None:
        save_scores(cases, folder)
    return cases


def _score(
    prediction: Path, truth: Path, names: Mapping[int, str] | None, tolerance_mm: float
) -> list[ClassMetrics]:
    expected, found = read_labels(truth), read_labels(prediction)
    require_same_grid(expected, found)
    if names is None:
        values = {*expected.voxels.ravel().tolist(), *found.voxels.ravel().tolist()}
        names = {value: f"label {value}" for value in sorted(values)}
    return case_metrics(
        found.voxels[0],
        expected.voxels[0],
        classes=names,
        spacing=spacing_of(expected.affine),
        tolerance_mm=tolerance_mm,
    )


def _pairs(predictions: Path, labels: Path) -> dict[str, tuple[Path, Path]]:
    """Files of equal names; those without a partner are reported."""
    if predictions.is_file() and labels.is_file():
        return {stem_of(predictions): (predictions, labels)}
    found, expected = _label_maps(predictions), _label_maps(labels)
    both = [name for name in found if name in expected]
    if not both:
        raise SelfscanError(
            f"{predictions}: found {len(found)} label maps, none with a name among the "
            f"{len(expected)} in {labels}; expected equal names, such as case.nii.gz in both"
        )
    for name in found.keys() - expected.keys():
        console.print(f"left out {name}: no label map in {labels}", style="yellow", markup=False)
    if missing := len(expected.keys() - found.keys()):
        console.print(f"{missing} label maps of {labels} have no prediction and are not scored")
    return {name: (found[name], expected[name]) for name in both}


def _label_maps(path: Path) -> dict[str, Path]:
    """The label maps of a folder, or the one file, by name without suffix."""
    if not path.exists():
        raise SelfscanError(f"{path}: found nothing; expected label maps")
    files = [path] if path.is_file() else sorted(path.iterdir())
    return {
        stem_of(file): file
        for file in files
        if suffix_of(file) in KNOWN_SUFFIXES and not file.name.startswith(".")
    }


def _written_names(*places: Path) -> dict[int, str] | None:
    """Label names from the first `dataset.json` in the places or right above them."""
    for place in places:
        folder = place if place.is_dir() else place.parent
        for path in (folder / "dataset.json", folder.parent / "dataset.json"):
            if path.exists() and (names := label_names_in(read_json(path))):
                return names
    return None
