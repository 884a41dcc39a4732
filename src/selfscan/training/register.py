"""The verb `register`: move one scan onto another, each in its own geometry."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from selfscan.files import written_atomically
from selfscan.progress import console
from selfscan.scans.contract import Prepared
from selfscan.scans.formats.writing import write_displacements, write_nifti
from selfscan.scans.preparation.grid import require_same_grid
from selfscan.scans.read import read, read_labels
from selfscan.scans.scan import Modality, Scan
from selfscan.scans.store import AIR
from selfscan.training.engine import EngineConfig
from selfscan.training.matching import Matched, WholeScan, load_matching, match_scans
from selfscan.training.moving import Grid, displacement_field, move_onto
from selfscan.training.run_folder import open_run_folder
from selfscan.training.segmentation import inference_fabric
from selfscan.training.start import prepare_alike

SUFFIX = ".nii.gz"
_RESULT = "registration.json"
_ENGINE = EngineConfig()


def register(
    moving: Path | str | Sequence[Path],
    fixed: Path | str | Sequence[Path],
    out: Path | str,
    *,
    checkpoint: Path,
    labels: Path | None = None,
    modality: Literal["auto", "ct", "mr", "pt", "other"] = "auto",
    engine: EngineConfig = _ENGINE,
    resume: bool = False,
    overwrite: bool = False,
) -> Path:
    """Move a scan onto the grid of another by a pre-trained network that aligns scans.

    Writes `moved.nii.gz` (moved_0000.nii.gz, ... of several channels): the intensities of the file,
    interpolated once. `displacement.nii.gz` says how far from each voxel of the fixed scan its
    place in the moving one is: vectors in mm in LPS, as the displacement fields of ITK and ANTs.

    Args:
        moving: The scan to move: a file, a DICOM folder, or a file a channel.
        fixed: The scan to move it onto, likewise.
        out: The folder for the results, and `registration.json` with their numbers.
        checkpoint: A pre-training run folder or checkpoint file, of gvsl.
        labels: A label map on the grid of the moving scan, for `moved_labels.nii.gz`.
        modality: What both scans are. `auto` takes headers, and guesses the rest.
        engine: Where to compute; one process.
        resume: Keep a finished result in `out`; an unfinished one is computed again.
        overwrite: Delete what `out` holds.

    Returns:
        The folder.

    Raises:
        SelfscanError: The checkpoint does not align scans, or a folder is in the way.
        ScanError: A scan cannot be used, or has other channels than the network.
        ValueError: An argument out of range; nothing was done.
    """
    arguments = dict(locals())
    if modality not in ("auto", *get_args(Modality)):
        raise ValueError(f"modality must be auto, ct, mr, pt or other, got {modality!r}")
    out = Path(out)
    method, model = load_matching(Path(checkpoint))
    known = None if modality == "auto" else modality
    scan, target = read(moving, known), read(fixed, known)
    prepared, prepared_target = prepare_alike(scan, model), prepare_alike(target, model)
    label_map = None if labels is None else read_labels(labels)
    if label_map is not None:
        require_same_grid(scan, label_map)
    fabric = inference_fabric(engine)
    open_run_folder(out, arguments, fabric=fabric, resume=resume, overwrite=overwrite)
    if (out / _RESULT).exists():
        return out

    method.to(fabric.device)
    matched = match_scans(
        method, WholeScan.of(prepared), WholeScan.of(prepared_target), fabric=fabric
    )
    grid = Grid(target.shape, target.affine)
    registration = matched.registration
    moved = move_onto(grid, scan.voxels, scan.affine, registration, outside=_around(scan, prepared))
    for number, channel in enumerate(moved):
        name = "moved" if len(moved) == 1 else f"moved_{number:04}"
        write_nifti(out / f"{name}{SUFFIX}", channel, grid.affine)
    field = displacement_field(grid, registration)
    write_displacements(out / f"displacement{SUFFIX}", field, grid.affine)
    if label_map is not None:
        (moved_labels,) = move_onto(
            grid, label_map.voxels, scan.affine, registration, outside=[0], order=0
        )
        write_nifti(out / f"moved_labels{SUFFIX}", moved_labels, grid.affine)
    facts = _facts(matched)
    # Last, as its presence says that the rest is there.
    with written_atomically(out / _RESULT) as temporary:
        temporary.write_text(json.dumps(facts, indent=2) + "\n")
    _tell(facts)
    console.print(f"results: {out}", highlight=False, soft_wrap=True)
    return out


def _around(scan: Scan, prepared: Prepared) -> list[float]:
    """What lies around each channel: air around a CT, around others what a store keeps as 0."""
    return [
        max(AIR if hounsfield else intercept, float(channel.min()))
        for hounsfield, intercept, channel in zip(
            prepared.hounsfield, prepared.intensity_intercept, scan.voxels, strict=True
        )
    ]


def _facts(matched: Matched) -> dict[str, float]:
    registration = matched.registration
    return {
        "correlation_before": matched.correlation(registration.identity()),
        "correlation_after": matched.correlation(registration),
        "folding": registration.folding(),
    }


def _tell(facts: dict[str, float]) -> None:
    before, after = facts["correlation_before"], facts["correlation_after"]
    console.print(
        f"local correlation with the fixed scan: {before:.3f} laid on it, {after:.3f} moved; "
        f"the map folds in {facts['folding']:.2%} of the voxels",
        soft_wrap=True,
        highlight=False,
    )
    if after <= before:
        console.print(
            "[yellow]the moved scan is no more like the fixed one than when laid on it[/]; do "
            "both show the anatomy that the network was trained on, and has it learned to align "
            "(selfscan align)?",
            soft_wrap=True,
        )
