"""The verb `inspect`: a page to look at a store with one's own eyes, and at what was left out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from selfscan.evaluation.inspect_page import write_page
from selfscan.evaluation.inspect_tiles import Inspection
from selfscan.evaluation.outliers import geometry_outliers, intensity_outliers
from selfscan.evaluation.provenance import provenance
from selfscan.evaluation.thumbnails import Look, look_at
from selfscan.files import require_writable
from selfscan.progress import Progress, console
from selfscan.scans.crew import cores, crew, spread
from selfscan.scans.inputs.sources import Unusable
from selfscan.scans.near_duplicates import named_in, near_duplicates
from selfscan.scans.store import Store

# Voxels to read, below which all is done sooner than processes start; and what a file counts for.
_WORTH_PROCESSES, _FILE = 1_000_000_000, 20_000_000


def inspect(
    store: Path | str,
    *,
    out: Path | None = None,
    scans: int = 1000,
    paths: bool = False,
    workers: int | None = None,
) -> Path:
    """Write one HTML page that shows the scans of a store, and what `prepare` left out.

    Each scan stands there in three planes with its spacing, shape, intensity and warnings. Filters
    choose by split, modality, reason or text, and each choice has an address. Scans far from the
    rest are marked, near-duplicates stand side by side. The page needs no network.

    It holds ids and no names of patients. Files that were left out are named by their row in
    `rejected.parquet`. Scans whose header says that text stands in the pixels are not pictured.

    Args:
        store: A prepared store.
        out: The page; by default `inspect.html` in the store.
        scans: How many scans, and how many files left out, are pictured at most. Near-duplicates
            and scans of unusual spacing or shape come first, the others are taken evenly. Numbers
            and histograms of spacing and shape are of all scans, those of intensity of the pictured
            ones.
        paths: Name files left out by their path below the folder they share: look whether it names
            a patient before you pass the page on.
        workers: Processes; by default one a core where scans are large or many, else one.

    Returns:
        The page.

    Raises:
        SelfscanError: The folder is no store, or the page cannot be written.
        ValueError: An argument out of range.
    """
    for name, value in (("scans", scans), ("workers", workers)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    whole = Store(store)
    path = Path(out) if out is not None else whole.path / "inspect.html"
    if path.is_dir():
        path /= "inspect.html"
    require_writable(path.parent)
    records = list(whole)
    rejected = _rejected(whole.path)
    first_of = {r.id: r.near_duplicate_of for r in records if r.near_duplicate_of is not None}
    if not first_of:  # none, or a store of an earlier version
        first_of = near_duplicates(records)
    repeated = {named_in(item.reason) for item in rejected}
    outliers = geometry_outliers(records)
    ahead = {*first_of, *first_of.values(), *repeated, *outliers}
    chosen = evenly([record.id in ahead for record in records], scans)
    left_out = evenly([named_in(item.reason) is not None for item in rejected], scans)
    numbers = np.arange(len(whole))
    tasks: list[Store | Path] = [whole.select(where=numbers == i) for i in chosen]
    tasks += [rejected[i].path for i in left_out]
    voxels = int(whole.shapes[chosen].prod(axis=1).sum()) + _FILE * len(left_out)
    looks = _look_at_all(tasks, workers or (cores() if voxels > _WORTH_PROCESSES else 1))
    seen = {records[i].id: look for i, look in zip(chosen, looks[: len(chosen)], strict=True)}
    levels = {id: look.levels for id, look in seen.items() if look.levels is not None}
    for id, texts in intensity_outliers(records, levels).items():
        outliers.setdefault(id, []).extend(texts)
    inspection = Inspection(
        store=whole,
        looks=seen,
        rejected=rejected,
        rejected_looks=dict(zip(left_out, looks[len(chosen) :], strict=True)),
        outliers=outliers,
        first_of=first_of,
        bytes=sum(file.stat().st_size for file in whole.path.rglob("*.b2nd")),
        facts=provenance(),
        paths=paths,
    )
    write_page(inspection, path)
    console.print(str(path), soft_wrap=True, markup=False, highlight=False)
    return path


def evenly(ahead: Sequence[bool], most: int) -> list[int]:
    """At most so many positions in rising order: those ahead of others first, the rest evenly.

    Where even those ahead are too many, they are taken evenly, and no others.
    """
    first = [i for i, is_ahead in enumerate(ahead) if is_ahead]
    others = [i for i, is_ahead in enumerate(ahead) if not is_ahead]
    first = _spread_over(first, most)
    return sorted(first + _spread_over(others, most - len(first)))


def _spread_over(positions: Sequence[int], most: int) -> list[int]:
    if len(positions) <= most:
        return list(positions)
    return [positions[i * len(positions) // most] for i in range(most)]


def _look_at_all(tasks: Sequence[Store | Path], workers: int) -> list[Look]:
    """Look at stores of one scan, and at files, here or in so many processes."""
    looks: dict[int, Look] = {}
    with Progress("inspect", total=len(tasks), unit="scans and files") as progress:
        if workers == 1:
            for number, task in enumerate(tasks):
                looks[number] = look_at((number, task))
                progress.advance()
        else:
            with crew(min(workers, len(tasks))) as client:
                for (number, _), look in spread(client, look_at, enumerate(tasks)):
                    looks[number] = (
                        look if isinstance(look, Look) else Look(trouble=f"found {look!r}")
                    )
                    progress.advance()
    return [looks[number] for number in range(len(tasks))]


def _rejected(folder: Path) -> list[Unusable]:
    file = folder / "rejected.parquet"
    rows: list[dict[str, Any]] = pq.read_table(file).to_pylist() if file.exists() else []
    return [Unusable(Path(row["path"]), row["reason"]) for row in rows]
