"""The page of `inspect`: a tile a scan, with what filters choose by, and numbers of all."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfscan.evaluation import store_figures
from selfscan.evaluation.facts import day_of, size_text
from selfscan.evaluation.page import Plot, plot, render_page
from selfscan.evaluation.thumbnails import Look
from selfscan.files import written_atomically
from selfscan.scans.inputs.sources import Unusable
from selfscan.scans.near_duplicates import RESERVED, named_in
from selfscan.scans.preparation.summary import common_folder
from selfscan.scans.record import ScanRecord
from selfscan.scans.store import Store

GROUPS_SHOWN = 60
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
    """

    store: Store
    looks: Mapping[str, Look]
    rejected: Sequence[Unusable]
    rejected_looks: Mapping[int, Look]
    outliers: Mapping[str, Sequence[str]]
    first_of: Mapping[str, str]
    bytes: int
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Tile:
    """One scan, or one file left out, on the page.

    Attributes:
        name: Its id, or its path below the common folder.
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


def write_page(found: Inspection, path: Path) -> None:
    """Write the page."""
    with written_atomically(path) as temporary:
        temporary.write_text(render_page("inspect.html.j2", page_values(found)), encoding="utf-8")


def page_values(found: Inspection) -> dict[str, Any]:
    """What the template shows."""
    records = list(found.store)
    tiles = [*_scan_tiles(found, records), *_left_out_tiles(found)]
    groups: dict[str, list[Tile]] = {}
    for tile in sorted(tiles, key=lambda tile: (tile.name != tile.group, tile.name)):
        if tile.group:
            groups.setdefault(tile.group, []).append(tile)
    groups = {first: members for first, members in sorted(groups.items()) if len(members) > 1}
    reasons = Counter(reason_class(item.reason) for item in found.rejected)
    return {
        "counts": {
            "kept": len(records),
            "dropped": len(found.rejected),
            "patients": len(set(found.store.subjects)),
            "labelled": int(found.store.labelled.sum()),
            "outliers": len(found.outliers),
            "repeats": len(found.first_of),
            "pictured": len(found.looks),
            "dropped_pictured": len(found.rejected_looks),
        },
        "modalities": Counter(_modality(record.modality) for record in records).most_common(),
        "splits": _splits(records),
        "reasons": reasons.most_common(),
        "warnings": Counter(w for record in records for w in record.warnings).most_common(),
        "cautions": _cautions(found, records),
        "plots": list(_plots(found, records)),
        "tiles": tiles,
        "groups": list(groups.items())[:GROUPS_SHOWN],
        "groups_left": max(len(groups) - GROUPS_SHOWN, 0),
        "facets": _facets(tiles),
        "grid": size_text(found.store.contract.spacing) if found.store.contract.spacing else "",
        "disk": _disk(found.bytes),
        "facts": {
            "store": found.store.path.resolve().name,
            "date": day_of(found.facts["date"]),
            "versions": found.facts["versions"],
        },
        "how": _how(found),
    }


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


def _scan_tiles(found: Inspection, records: Sequence[ScanRecord]) -> Iterable[Tile]:
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
                "modality": (_modality(record.modality),),
                "split": (split,),
                "labels": (labels,),
                "note": tuple(dict.fromkeys(notes)),
            },
            look=look,
            kind=f"{_modality(record.modality)} · {split} · {labels} "
            f"· patient {patients[record.subject]}",
            facts=_facts(look, record.shape, record.spacing),
            remarks=tuple(map(without_paths, remarks)),
            group=first or (record.id if record.id in firsts else ""),
        )


def _left_out_tiles(found: Inspection) -> Iterable[Tile]:
    common = common_folder([item.path for item in found.rejected])
    for position, look in found.rejected_looks.items():
        item = found.rejected[position]
        name = str(item.path.relative_to(common)) if common else item.path.name
        first = named_in(item.reason)
        yield Tile(
            name=name,
            facets={
                "status": ("left out",),
                "reason": (reason_class(item.reason),),
                "modality": (_modality(look.modality),) if look.modality else (),
                "split": (),
                "labels": (),
                "note": (_REPEAT,) if first else (),
            },
            look=look,
            kind="left out" + (f" · {_modality(look.modality)}" if look.modality else ""),
            facts=_facts(look, look.shape, look.spacing) if look.image else (),
            remarks=(without_paths(item.reason),),
            group=first or "",
        )


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


def _modality(channels: Sequence[str]) -> str:
    names = [name.upper() if name != "other" else name for name in channels]
    if len(names) > 1 and len(set(names)) == 1:
        return f"{len(names)} × {names[0]}"
    return " + ".join(names)


def _splits(records: Sequence[ScanRecord]) -> list[dict[str, Any]]:
    names = sorted({record.split or "" for record in records})
    rows = []
    for name in names:
        of_split = [record for record in records if (record.split or "") == name]
        rows.append(
            {
                "name": name or "in no split",
                "scans": len(of_split),
                "patients": len({record.subject for record in of_split}),
                "labelled": sum(record.labelled for record in of_split),
            }
        )
    return rows


def _facets(tiles: Sequence[Tile]) -> list[dict[str, Any]]:
    """The choices that make a difference, each with how many tiles it shows."""
    titles = {
        "status": "Kept or left out",
        "reason": "Why left out",
        "modality": "Modality",
        "split": "Split",
        "labels": "Labels",
        "note": "Remark",
    }
    found = []
    for name in FACETS:
        counts = Counter(value for tile in tiles for value in tile.facets[name])
        if len(counts) > 1 or (counts and next(iter(counts.values())) < len(tiles)):
            found.append({"name": name, "title": titles[name], "options": counts.most_common()})
    return found


def _cautions(found: Inspection, records: Sequence[ScanRecord]) -> list[str]:
    split_of = {record.id: record.split for record in records}
    broken = [id for id, look in found.looks.items() if look.trouble]
    leaks = sum(
        split_of.get(first) in RESERVED and split_of[id] not in RESERVED
        for id, first in found.first_of.items()
    )
    told = []
    if broken:
        told.append(
            f"{len(broken)} volumes of this store cannot be read, {broken[0]} first: delete them "
            "and resume prepare."
        )
    if leaks:
        told.append(
            f"{leaks} scans are near-duplicates of a test or validation case under another id. "
            "pretrain leaves them out, with all scans of their patients."
        )
    guessed = sum(any("modality guessed" in text for text in r.warnings) for r in records)
    if guessed:
        told.append(
            f"The modality of {guessed:,} scans was guessed from their values. Where a picture "
            "looks wrong, say what they are when you prepare again."
        )
    if len(found.looks) < len(records):
        told.append(
            f"Pictured are {len(found.looks):,} of {len(records):,} scans: near-duplicates and "
            "scans of unusual spacing or shape first, the others evenly. Unusual intensities were "
            "looked for among these."
        )
    if found.rejected:
        told.append(
            "Files left out are named by their path: look whether these names, or a picture, may "
            "be seen by whom you give this page."
        )
    return told


def _plots(found: Inspection, records: Sequence[ScanRecord]) -> Iterable[Plot]:
    def marked(measure: str) -> set[str]:
        return {
            id
            for id, texts in found.outliers.items()
            if any(text.startswith(measure) for text in texts)
        }

    resampled = found.store.contract.spacing
    for measure, unit in (("spacing", "mm"), ("shape", "voxels")):
        if resampled and measure == "spacing":
            continue
        note = f"In orange, scans of unusual {measure}: {len(marked(measure)):,}."
        figure = plot(
            store_figures.histograms(records, measure, unit, marked(measure)),
            alt=f"Histograms of {measure} along the three axes, in {unit}.",
            caption=note if marked(measure) else f"No scan is of unusual {measure}.",
        )
        if figure is not None:
            yield figure
    levels = {id: look.levels for id, look in found.looks.items() if look.levels is not None}
    note = f"Orange lines are single scans of unusual intensity ({len(marked('intensity')):,})."
    figure = plot(
        store_figures.intensities(records, levels, marked("intensity")),
        alt="Share of the body's voxels at each intensity, over scans.",
        caption="The median over scans; the band holds four scans in five. "
        + (note if marked("intensity") else "No scan is of unusual intensity."),
    )
    if figure is not None:
        yield figure


def _how(found: Inspection) -> list[tuple[str, str]]:
    contract, versions = found.store.contract, found.facts["versions"]
    grid = f"resampled to {size_text(contract.spacing)} mm" if contract.spacing else "as scanned"
    return [
        ("Pictures", "through the middle of the body, axial, coronal and sagittal, to scale; the "
         "patient’s right, or front, on the left. CT in a window of −200 to 300 HU, others "
         "between their 0.5 and 99.5 percentiles. Of several channels the first"),
        ("Body", "1% to 99% of the intensities inside the body, in HU for CT and the units of the "
         "file for others"),
        ("Unusual", "farther from the middle 80% of the modality than these are wide, where there "
         "are 10 scans or more: spacing and shape on a logarithmic scale; of CT the median and the "
         "99% quantile, of others the range"),
        ("Near-duplicates", "by 124 and 387 cosine coefficients of the averaged volume"),
        ("Spacing", grid),
        ("Store", f"{found.store.path.resolve().name}, digest {found.store.digest()[:16]}"),
        ("Command", without_paths(found.facts["command"])),
        ("Versions", ", ".join(f"{name} {it}" for name, it in versions.items())),
        ("Done", found.facts["date"]),
    ]  # fmt: skip


def _disk(size: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.3g} {unit}"
        size /= 1024
    return f"{size:.3g} TiB"
