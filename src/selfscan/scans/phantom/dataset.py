"""A data set of phantoms on disk, laid out as an nnU-Net raw folder with splits beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt

from selfscan.files import claim_folder, written_atomically
from selfscan.scans.phantom.canvas import PHANTOM_LABELS
from selfscan.scans.phantom.fields import Triple
from selfscan.scans.phantom.torso import FIELD_MM, SPACING_MM, phantom

_ENDING = ".nii.gz"


def write_phantoms(
    out: Path,
    *,
    cases: int,
    labelled: int | None = None,
    organs: Sequence[str] | None = None,
    seed: int = 0,
    spacing_mm: Triple = SPACING_MM,
    field_mm: Triple = FIELD_MM,
    workers: int = 1,
    overwrite: bool = False,
) -> Path:
    """Generate a data set of torsos: some labelled, the others for pre-training.

    Labelled cases are split into train, validation and test by about 3 : 1 : 2. Written are
    `imagesTr` and `labelsTr` (train and validation), `imagesTs` and `labelsTs` (test),
    `dataset.json` as nnU-Net wants them, the unlabeled cases as `imagesUn/CASE.nii.gz`, and
    `splits.json` with the names of each split.

    Args:
        out: The folder to write.
        cases: How many torsos in all.
        labelled: How many of them have labels; half of them by default.
        organs: Names of `PHANTOM_LABELS` to label, numbered in this order; by default all.
        seed: Another seed gives other patients.
        spacing_mm: Voxel size along right, anterior and superior.
        field_mm: Size of the scanned box.
        workers: Threads; most of the work runs outside the interpreter's lock.
        overwrite: Delete what `out` holds; refused otherwise.

    Returns:
        The folder.

    Raises:
        ValueError: Fewer than three labelled cases, or more than there are cases, or an organ that
            the phantom lacks.
        SelfscanError: `out` is not empty.
    """
    labelled = cases // 2 if labelled is None else labelled
    if not 3 <= labelled <= cases:
        raise ValueError(
            f"labelled must lie between 3 (one each to train, validate and test) and cases, "
            f"got labelled={labelled} of cases={cases}"
        )
    number_of = {name: number for number, name in PHANTOM_LABELS.items() if number}
    organs = list(number_of if organs is None else organs)
    if unknown := [name for name in organs if name not in number_of]:
        raise ValueError(f"organs must be among {', '.join(number_of)}, got {', '.join(unknown)}")
    new_labels = np.zeros(len(PHANTOM_LABELS), dtype=np.uint8)
    new_labels[[number_of[name] for name in organs]] = range(1, len(organs) + 1)
    out = claim_folder(Path(out), overwrite=overwrite)
    splits = _splits(cases, labelled)
    folders = {"pretrain": "Un", "train": "Tr", "validation": "Tr", "test": "Ts"}
    names = [(name, folders[split]) for split in splits for name in splits[split]]
    for suffix in ("Tr", "Ts", *(["Un"] if splits["pretrain"] else [])):
        (out / f"images{suffix}").mkdir()
    write = partial(
        _write_case,
        out,
        seed=seed,
        spacing_mm=spacing_mm,
        field_mm=field_mm,
        new_labels=new_labels,
    )
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(write, *zip(*names, strict=True)))
    description = {
        "name": "phantoms",
        "description": "Generated CT of torsos with labelled organs; no patient data",
        "channel_names": {"0": "CT"},
        "labels": {name: number for number, name in enumerate(["background", *organs])},
        "numTraining": len(splits["train"]) + len(splits["validation"]),
        "file_ending": _ENDING,
    }
    (out / "splits.json").write_text(json.dumps(splits, indent=1), encoding="utf-8")
    (out / "dataset.json").write_text(json.dumps(description, indent=1), encoding="utf-8")
    return out


def _splits(cases: int, labelled: int) -> dict[str, list[str]]:
    test, validation = max(1, labelled // 3), max(1, labelled // 6)
    sizes = {
        "train": labelled - validation - test,
        "validation": validation,
        "test": test,
        "pretrain": cases - labelled,
    }
    names = iter(f"phantom_{number:03d}" for number in range(cases))
    return {split: [next(names) for _ in range(size)] for split, size in sizes.items()}


def _write_case(
    out: Path,
    name: str,
    suffix: str,
    *,
    seed: int,
    spacing_mm: Triple,
    field_mm: Triple,
    new_labels: npt.NDArray[np.uint8],
) -> None:
    number = int(name.rpartition("_")[2])
    (patient,) = np.random.SeedSequence((seed, number)).generate_state(1).tolist()
    scan = phantom(patient, spacing_mm=spacing_mm, field_mm=field_mm)
    if suffix == "Un":
        _write(out / "imagesUn" / f"{name}{_ENDING}", scan.volume, scan.affine)
        return
    _write(out / f"images{suffix}" / f"{name}_0000{_ENDING}", scan.volume, scan.affine)
    _write(out / f"labels{suffix}" / f"{name}{_ENDING}", new_labels[scan.labels], scan.affine)


def _write(
    path: Path, voxels: npt.NDArray[np.int16 | np.uint8], affine: npt.NDArray[np.float64]
) -> None:
    image = nibabel.Nifti1Image(voxels, affine)
    image.header.set_xyzt_units("mm")
    with written_atomically(path) as temporary:
        nibabel.save(image, temporary)
