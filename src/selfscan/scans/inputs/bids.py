"""A BIDS data set: `sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz` under a `dataset_description.json`.

Format: Gorgolewski et al. 2016, doi 10.1038/sdata.2016.44; bids-specification.readthedocs.io.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from selfscan.scans.formats.suffixes import stem_of
from selfscan.scans.inputs.description import read_json
from selfscan.scans.inputs.sources import Found, Source, Unusable
from selfscan.scans.inputs.walk import walk
from selfscan.scans.scan import Modality

_SCANS: dict[str, Modality] = {"anat": "mr", "func": "mr", "dwi": "mr", "perf": "mr", "pet": "pt"}
_OTHERS = ("fmap", "micr", "mrs")  # data types that hold images; any other name may be anyone's
_ASIDE = {
    "derivatives": "what was computed from the scans",
    "sourcedata": "what the scans were converted from",
}


def is_bids(folder: Path) -> bool:
    """Whether a folder is the top of a BIDS data set."""
    description = folder / "dataset_description.json"
    return description.is_file() and "BIDSVersion" in read_json(description)


def read_bids(folder: Path) -> Found:
    """Find the scans of a BIDS data set: those in anat, func, dwi, perf and pet.

    The folders `derivatives` and `sourcedata` hold the same scans in another state; each is one
    line among what is unusable. So is each image of another data type, such as a field map.
    """
    aside = {folder / name: what for name, what in _ASIDE.items() if (folder / name).is_dir()}
    found = walk(folder, but=aside)
    sources: list[Source] = []
    for source in found.sources:
        image = source.images[0]
        kind = image.parent.name
        if source.kind == "dicom":
            sources.append(source)
        elif kind in _SCANS:
            is_ct = stem_of(image).lower().endswith("_ct")
            sources.append(replace(source, modality=("ct" if is_ct else _SCANS[kind],)))
        else:
            where = f"the BIDS folder {kind!r}" if kind in _OTHERS else "another folder of BIDS"
            reason = f"found an image in {where}; expected {', '.join(_SCANS)}"
            found.unusable.append(Unusable(image, f"{reason}; name the file itself to take it"))
    for place, what in aside.items():
        reason = f"found {what}; expected each scan once; give this folder itself to take it"
        found.unusable.append(Unusable(place, reason))
    return Found(sources, found.unusable)
