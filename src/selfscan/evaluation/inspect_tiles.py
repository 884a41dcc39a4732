"""What stands on the page of `inspect` for each scan, and each file left out: a tile."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfscan.evaluation.facts import size_text
from selfscan.evaluation.thumbnails import Look
from selfscan.scans.formats.suffixes import (
    DICOM_SUFFIXES,
    FOREIGN_SUFFIXES,
    KNOWN_SUFFIXES,
    suffix_of,
)
from selfscan.scans.inputs.sources import Unusable
from selfscan.scans.near_duplicates import named_in
from selfscan.scans.preparation.summary import common_folder
from selfscan.scans.record import ScanRecord
from selfscan.scans.store import Store

FACETS = ("status", "reason", "modality", "split", "labels", "note")
_REPEAT = "near-duplicate"
_PATH = re.compile(r"(?<![\w.])(?:/[^\s/:;,'\"]+)+/(?=[^\s/:;,'\"]+)")
_NUMBER = re.compile(r"\d[\d.,]*(?<=\d)")


@dataclass(frozen=True)
class Inspection:
    """What was found in a store.

    Attributes:
        store: All of it.
        looks: The looks at its scans, by id, of those that are pictured.
        rejected: What `prepare` left out.
        rejected_looks: The looks at these, by position, of those that are pictured.
        outliers: By id, in what a scan is far from the rest; each text begins with the measure.
        first_of: For each near-duplicate the first scan of its group.
        bytes: What the volumes take on disk.
        facts: When, by which command and with which versions.
        paths: Whether files left out are named by their paths, which may be names of patients.
    """

    store: Store
    looks: Mapping[str, Look]
    rejected: Sequence[Unusable]
    rejected_looks: Mapping[int, Look]
    outliers: Mapping[str, Sequence[str]]
    first_of: Mapping[str, str]
    bytes: int
    facts: Mapping[str, Any]
    paths: bool = False


@dataclass(frozen=True)
class Tile:
    """One scan, or one file left out, on the page.

    Attributes:
        name: Its id, or its row in `rejected.parquet`, or its path below the common folder.
        facets: What filters choose by: for each of `FACETS` the values that it has.
        look: Its picture, where there is one.
        kind: What it is, in a line.
        facts: Names and values.
        remarks: Warnings, and what is unusual.
        group: The first scan of its near-duplicates; empty where it has none.
    """

    name: str
    facets: Mapping[str, tuple[str, ...]]
    look: Look
    kind: str
    facts: tuple[tuple[str, str], ...] = ()
    remarks: tuple[str, ...] = ()
    group: str = ""

    @property
    def alt(self) -> str:
        """The picture in words."""
        planes = "axial, coronal and sagittal slice"
        return f"{self.name}: {planes}, {self.kind}"


def scan_tiles(found: Inspection, records: Sequence[ScanRecord]) -> Iterable[Tile]:
    """A tile for each scan that is pictured."""
    patients: dict[str, int] = {}
    for record in records:
        patients.setdefault(record.subject, len(patients) + 1)
    firsts = set(found.first_of.values()) | {named_in(item.reason) for item in found.rejected}
    for record in records:
        if record.id not in found.looks:
            continue
        look = found.looks[record.id]
        first = found.first_of.get(record.id)
        unusual = list(found.outliers.get(record.id, ()))
        warnings = [text for text in record.warnings if not text.startswith(_REPEAT)]
        notes = [f"unusual {text.split()[0].rstrip(':')}" for text in unusual] + warnings
        notes += [_REPEAT] * (first is not None or record.id in firsts)
        notes += ["cannot be read"] * bool(look.trouble)
        remarks = [*([look.trouble] if look.trouble else []), *unusual, *warnings]
        remarks += [f"{_REPEAT} of {first}"] if first else []
        labels = "labelled" if record.labelled else "unlabelled"
        split = record.split or "in no split"
        yield Tile(
            name=record.id,
            facets={
                "status": ("kept",),
                "reason": (),
                "modality": (modality_text(record.modality),),
                "split": (split,),
                "labels": (labels,),
                "note": tuple(dict.fromkeys(notes)),
            },
            look=look,
            kind=f"{modality_text(record.modality)} · {split} · {labels} "
            f"· patient {patients[record.subject]}",
            facts=_facts(look, record.shape, record.spacing),
            remarks=tuple(map(without_paths, remarks)),
            group=first or (record.id if record.id in firsts else ""),
        )


def left_out_tiles(found: Inspection) -> Iterable[Tile]:
    """A tile for each file left out that is pictured."""
    common = common_folder([item.path for item in found.rejected])
    for position, look in found.rejected_looks.items():
        item = found.rejected[position]
        name = f"row {position}{_kind_of_file(item.path)}"
        if found.paths:
            name = str(item.path.relative_to(common)) if common else item.path.name
        first = named_in(item.reason)
        yield Tile(
            name=name,
            facets={
                "status": ("left out",),
                "reason": (reason_class(item.reason),),
                "modality": (modality_text(look.modality),) if look.modality else (),
                "split": (),
                "labels": (),
                "note": (_REPEAT,) if first else (),
            },
            look=look,
            kind="left out" + (f" · {modality_text(look.modality)}" if look.modality else ""),
            facts=_facts(look, look.shape, look.spacing) if look.image else (),
            remarks=(without_paths(item.reason),),
            group=first or "",
        )


def _kind_of_file(path: Path) -> str:
    """The suffix, where it is one of images: another may be part of a name."""
    suffix = suffix_of(path)
    known = (*KNOWN_SUFFIXES, *DICOM_SUFFIXES, *FOREIGN_SUFFIXES)
    return f", {suffix}" if suffix in known else ""


def reason_class(reason: str) -> str:
    """What reasons of one kind share: without numbers, names and remedies."""
    if named_in(reason) is not None:
        return "near-duplicate of a scan that was kept"
    if reason.startswith("same content as "):
        return "same content as another"
    first = re.split(r"; | \(|, shape ", reason.removeprefix("found "))[0]
    return _NUMBER.sub("n", without_paths(first))


def without_paths(text: str) -> str:
    """A text in which files are named without their folders, which may name people."""
    return _PATH.sub("", text)


def modality_text(channels: Sequence[str]) -> str:
    """The modality of all channels in a word or two."""
    names = [name.upper() if name != "other" else name for name in channels]
    if len(names) > 1 and len(set(names)) == 1:
        return f"{len(names)} × {names[0]}"
    return " + ".join(names)


def _facts(
    look: Look, shape: Sequence[int], spacing: Sequence[float]
) -> tuple[tuple[str, str], ...]:
    size = [round(length * step) for length, step in zip(shape, spacing, strict=True)]
    facts = [
        ("Spacing", f"{size_text([float(f'{step:.3g}') for step in spacing])} mm"),
        ("Shape", f"{size_text(shape)}, {size_text(size)} mm"),
    ]
    if look.levels is not None:
        low, middle, high = (float(look.levels[i]) for i in (2, 128, 253))
        unit = " HU" if look.modality[0] == "ct" else ""
        text = f"{low:.4g} to {high:.4g}{unit}, median {middle:.4g}"
        facts.append(("Body", text.replace("-", "−")))
    return tuple(facts)
