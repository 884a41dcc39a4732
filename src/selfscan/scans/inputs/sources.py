"""What a search for scans returns: the cases, each with its files, and what cannot be one."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from selfscan.errors import SelfscanError
from selfscan.scans.scan import Modality

# BIDS names the subject in folders and files: sub-01/anat/sub-01_T1w.nii.gz.
_BIDS_SUBJECT = re.compile(r"(?:^|[^a-zA-Z0-9])(sub-[a-zA-Z0-9]+)")


@dataclass(frozen=True)
class Source:
    """The files of one case; nothing of them has been read yet.

    Attributes:
        name: Names the case, unique in one search and the same in the next.
        images: One file a channel, or one folder, or the slices, of DICOM.
        labels: The label map, where there is one.
        split: The split that a data list puts the case in.
        kind: How to read it: "file" by `read`, "dicom" by `read_series`, which may give more than
            one scan.
        modality: What a data list says of each channel; None where it says nothing.
        subject: Whose scan it is, where a list says it.
    """

    name: str
    images: tuple[Path, ...]
    labels: Path | None = None
    split: str | None = None
    kind: Literal["file", "dicom"] = "file"
    modality: tuple[Modality | None, ...] = (None,)
    subject: str | None = None

    @property
    def patient(self) -> str:
        """Whose scan it is where its files say nothing: by a list, by BIDS, or a patient each."""
        named = _BIDS_SUBJECT.search(self.name)
        return self.subject or (named.group(1) if named else self.name)


@dataclass(frozen=True)
class Unusable:
    """Something that was meant as a scan and cannot be one, and why.

    Attributes:
        path: Where it lies.
        reason: Why, without names of files, folders or patients: these may stand in `path` alone.
    """

    path: Path
    reason: str


@dataclass
class Found:
    """The result of a search.

    Attributes:
        sources: The cases, in the order of the paths given and sorted within each.
        unusable: What was left out.
        label_names: Label values and their names, as far as a data list gives them.
    """

    sources: list[Source] = field(default_factory=list)
    unusable: list[Unusable] = field(default_factory=list)
    label_names: dict[int, str] = field(default_factory=dict)


def merged(parts: Iterable[Found]) -> Found:
    """The results of several searches as one.

    Raises:
        SelfscanError: Two of them name a label differently.
    """
    whole = Found()
    for part in parts:
        whole.sources += part.sources
        whole.unusable += part.unusable
        for value, name in part.label_names.items():
            known = whole.label_names.setdefault(value, name)
            if known != name:
                raise SelfscanError(
                    f"label {value} is {known!r} in one data set and {name!r} in another; "
                    "prepare them apart, or give them the same labels"
                )
    return whole


def without_repeats(found: Found) -> Found:
    """Keep the first of sources that share a file, or a DICOM folder; later ones are unusable."""
    seen: set[Path] = set()
    kept: list[Source] = []
    unusable = list(found.unusable)
    for source in found.sources:
        places = {_place(source, image): image for image in source.images}
        repeated = [place for place in places if place in seen]
        if repeated:
            reason = "found it listed twice; expected each scan once; list it once"
            unusable.append(Unusable(places[repeated[0]], reason))
            continue
        seen |= set(places)
        kept.append(source)
    return Found(kept, unusable, found.label_names)


def _place(source: Source, image: Path) -> Path:
    """What two sources must not share: the file behind all links, or the folder of a series."""
    path = image.resolve()
    return path.parent if source.kind == "dicom" and not path.is_dir() else path


def with_unique_names(sources: Iterable[Source]) -> list[Source]:
    """Add a digest of the path to names that several sources share.

    The digest, unlike a number, does not change when cases are added. Names that differ in case
    alone count as one, because some file systems do not tell them apart.
    """
    groups: defaultdict[str, list[Source]] = defaultdict(list)
    sources = list(sources)
    for source in sources:
        groups[source.name.casefold()].append(source)
    return [
        source
        if len(groups[source.name.casefold()]) == 1
        else replace(source, name=f"{source.name}-{digest(source.images[0].resolve(), 6)}")
        for source in sources
    ]


def digest(path: Path, length: int) -> str:
    """The first hexadecimal digits of the SHA-256 of a path."""
    return hashlib.sha256(path.as_posix().encode()).hexdigest()[:length]
