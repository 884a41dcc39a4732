"""An nnU-Net raw folder: `imagesTr/CASE_0000.nii.gz`, a file a channel, `labelsTr/CASE.nii.gz`.

Format: Isensee et al. 2021, doi 10.1038/s41592-020-01008-z, version 2 of the folder layout.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from selfscan.scans.inputs.description import label_names, modalities, read_json
from selfscan.scans.inputs.sources import Found, Source, Unusable

_FOLDERS = (("imagesTr", "labelsTr", "train"), ("imagesTs", "labelsTs", "test"))


def is_nnunet(folder: Path) -> bool:
    """Whether the images of a data set carry channel numbers, as nnU-Net wants them."""
    ending = _ending(read_json(folder / "dataset.json"))
    return any((folder / "imagesTr").glob(f"*_0000{ending}"))


def read_nnunet(folder: Path) -> Found:
    """Read the cases of `imagesTr` (split "train") and `imagesTs` (split "test").

    A case without a label map stays, unlabelled; one without one of its channels is unusable.

    Raises:
        ScanError: `dataset.json` is missing or no JSON object.
    """
    content = read_json(folder / "dataset.json")
    ending = _ending(content)
    channels = len(content.get("channel_names") or content.get("modality") or {"0": ""})
    found = Found(label_names=label_names(content))
    for images, labels, split in _FOLDERS:
        cases, strangers = _cases(folder / images, ending)
        found.unusable += strangers
        for case, files in cases.items():
            missing = sorted(set(range(channels)) - set(files))
            if missing:
                absent = folder / images / f"{case}_{missing[0]:04d}{ending}"
                reason = f"found no such file; expected {channels} channels of each case"
                found.unusable.append(Unusable(absent, f"{reason}; restore it"))
                continue
            label = folder / labels / f"{case}{ending}"
            found.sources.append(
                Source(
                    case,
                    tuple(files[channel] for channel in sorted(files)),
                    label if label.is_file() else None,
                    split,
                    modality=modalities(content, len(files)),
                )
            )
        for label in sorted((folder / labels).glob(f"[!.]*{ending}")):
            if label.name.removesuffix(ending) not in cases:
                reason = f"found no image of this label map in {images}"
                found.unusable.append(
                    Unusable(label, f"{reason}; expected {images}/CASE_0000{ending}; restore it")
                )
    return found


def _ending(content: dict[str, Any]) -> str:
    return str(content.get("file_ending", ".nii.gz"))


def _cases(folder: Path, ending: str) -> tuple[dict[str, dict[int, Path]], list[Unusable]]:
    """Channel number to file, for each case; and the files that are named otherwise."""
    cases: defaultdict[str, dict[int, Path]] = defaultdict(dict)
    strangers = []
    for file in sorted(folder.glob(f"[!.]*{ending}")):
        match = re.fullmatch(r"(.+)_(\d{4})", file.name.removesuffix(ending))
        if match:
            cases[match[1]][int(match[2])] = file
        else:
            reason = "found a name without a channel number"
            strangers.append(
                Unusable(file, f"{reason}; expected CASE_0000{ending} beside the others; rename it")
            )
    return dict(cases), strangers
