"""The middle of each labelled organ of a patient, searched for in every other patient."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from selfscan.evaluation.floors import relative_places
from selfscan.evaluation.landmarks import organ_middles
from selfscan.evaluation.retrieval import Blocks, errors_mm, find_nearest, gather
from selfscan.progress import Progress
from selfscan.scans.store import Store

# From a stored volume, which channels are CT, and voxels, to blocks of embeddings.
Embedding = Callable[..., Blocks]
PLACE, PATCHES = "relative place", "intensity patch"
ORGANS = "organs.parquet"  # where a comparison keeps the errors


def organ_errors(scans: Store, embeddings: Mapping[str, Embedding]) -> pd.DataFrame:
    """How far from the true place each organ is found, by each embedding and by relative place.

    Every scan is embedded twice by each: for what it asks, and to be searched.

    Args:
        scans: Those without labels are passed over.
        embeddings: By name.

    Returns:
        A row a query and embedding: `embedding`, `scan`, `target`, `structure`, `error_mm`; empty
        where no two patients have an organ in common.
    """
    middles = {
        i: organ_middles(scans.read_labels(i), scans.label_names, record.spacing)
        for i, record in enumerate(scans)
        if record.labelled
    }
    middles = {i: found for i, found in middles.items() if found}
    asked = {
        target: [
            (source, organ)
            for source, organs in middles.items()
            if scans.subjects[source] != scans.subjects[target]
            for organ in organs
            if organ in middles[target]
        ]
        for target in middles
    }
    asked = {target: queries for target, queries in asked.items() if queries}
    rows: list[dict[str, Any]] = []
    with Progress("organs", total=len(embeddings) * len(asked), unit="searches") as progress:
        for name, embedding in embeddings.items():
            vectors = {
                i: dict(zip(organs, gather(_of(embedding, scans, i), _voxels(organs)), strict=True))
                for i, organs in (middles.items() if asked else ())
            }
            for target, queries in asked.items():
                wanted = np.stack([vectors[source][organ] for source, organ in queries])
                body = np.argwhere(scans.read_foreground(target))
                found = find_nearest(_of(embedding, scans, target), body, wanted)
                rows += _rows(scans, target, queries, middles[target], name, found)
                progress.advance()
    for target, queries in asked.items():
        box = scans[target].foreground_box
        places = [
            relative_places(middles[source][organ][None], scans[source].foreground_box, box)
            for source, organ in queries
        ]
        rows += _rows(scans, target, queries, middles[target], PLACE, np.concatenate(places))
    return pd.DataFrame(rows, columns=["embedding", "scan", "target", "structure", "error_mm"])


def _of(embedding: Embedding, scans: Store, i: int) -> Callable[[Any], Blocks]:
    return partial(embedding, scans.read(i), scans[i].hounsfield)


def _voxels(organs: Mapping[str, Any]) -> Any:
    return np.stack(list(organs.values()))


def _rows(
    scans: Store,
    target: int,
    queries: list[tuple[int, str]],
    middles: Mapping[str, Any],
    name: str,
    found: Any,
) -> list[dict[str, Any]]:
    record = scans[target]
    truth = np.stack([middles[organ] for _, organ in queries])
    return [
        {
            "embedding": name,
            "scan": scans[source].id,
            "target": record.id,
            "structure": organ,
            "error_mm": float(error),
        }
        for (source, organ), error in zip(
            queries, errors_mm(found, truth, record.spacing), strict=True
        )
    ]
