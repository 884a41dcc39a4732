"""The page of `inspect`: a tile a scan, with what filters choose by, and numbers of all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from selfscan.evaluation import store_figures
from selfscan.evaluation.facts import day_of, size_text
from selfscan.evaluation.inspect_tiles import (
    FACETS,
    Inspection,
    Tile,
    left_out_tiles,
    modality_text,
    reason_class,
    scan_tiles,
    without_paths,
)
from selfscan.evaluation.page import Plot, plot, render_page
from selfscan.files import written_atomically
from selfscan.scans.near_duplicates import RESERVED
from selfscan.scans.record import ScanRecord

GROUPS_SHOWN = 60


def write_page(found: Inspection, path: Path) -> None:
    """Write the page."""
    with written_atomically(path) as temporary:
        temporary.write_text(render_page("inspect.html.j2", page_values(found)), encoding="utf-8")


def page_values(found: Inspection) -> dict[str, Any]:
    """What the template shows."""
    records = list(found.store)
    tiles = [*scan_tiles(found, records), *left_out_tiles(found)]
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
        "modalities": Counter(modality_text(record.modality) for record in records).most_common(),
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
            "Files left out are named by their path: look whether these names may be seen by whom "
            "you give this page."
            if found.paths
            else "Files left out are named by their row in rejected.parquet, from 0, which says "
            "where they lie; inspect --paths names them here."
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
