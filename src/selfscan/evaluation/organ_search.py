"""The middle of each labelled organ of a patient, searched for in every other patient."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from selfscan.evaluation.floors import relative_places
from selfscan.evaluation.landmarks import organ_middles
from selfscan.evaluation.retrieval import Blocks, Embed, errors_mm, find_nearest, gather
from selfscan.progress import Progress
from selfscan.scans.store import Store
from selfscan.training.frozen import Positions

# From a stored volume, which channels are CT, and voxels, to blocks of embeddings.
Embedding = Callable[..., Blocks]
PLACE, PATCHES = "relative place", "intensity patch"
ORGANS = "organs.parquet"  # where a comparison keeps the errors
_COLUMNS = ["embedding", "scan", "target", "structure", "error_mm"]


def organ_errors(scans: Store, embeddings: Mapping[str, Embedding]) -> pd.DataFrame:
    """How far from the true place each organ is found, by each embedding and by relative place.

    Args:
        scans: Those without labels are passed over.
        embeddings: By name.

    Returns:
        The rows of `OrganSearch.by` for each, then those of `OrganSearch.by_place`.
    """
    search = OrganSearch.among(scans)
    found = [search.by(name, embedding) for name, embedding in embeddings.items()]
    return pd.concat([*found, search.by_place()], ignore_index=True)


@dataclass(frozen=True)
class OrganSearch:
    """What is searched for in which scan.

    Attributes:
        scans: All of them.
        middles: The middles of the organs of each labelled scan, by its number.
        asked: For each scan to search, the other patients' scans and their organs that it has too.
    """

    scans: Store
    middles: Mapping[int, Mapping[str, Positions]]
    asked: Mapping[int, Sequence[tuple[int, str]]]

    @classmethod
    def among(cls, scans: Store) -> OrganSearch:
        """Every organ of every scan, in the scans of all other patients."""
        middles = {
            i: organ_middles(scans.read_labels(i), scans.label_names, record.spacing)
            for i, record in enumerate(scans)
            if record.labelled
        }
        common = {
            target: [
                (source, organ)
                for source, organs in middles.items()
                if scans.subjects[source] != scans.subjects[target]
                for organ in organs
                if organ in middles[target]
            ]
            for target in middles
        }
        asked = {target: queries for target, queries in common.items() if queries}
        return cls(scans, middles, asked)

    def by(self, name: str, embedding: Embedding) -> pd.DataFrame:
        """Search by an embedding; every scan is embedded for what it asks, and to be searched.

        Returns:
            A row a query: `embedding`, `scan`, `target`, `structure`, `error_mm`; none where no two
            patients have an organ in common.
        """
        asking = {source for queries in self.asked.values() for source, _ in queries}
        vectors: dict[int, dict[str, Any]] = {}
        for i in sorted(asking):
            organs = self.middles[i]
            gathered = gather(self._embed(embedding, i), np.stack(list(organs.values())))
            vectors[i] = dict(zip(organs, gathered, strict=True))
        found = {}
        with Progress("organs", total=len(self.asked), unit="searches") as progress:
            for target, queries in self.asked.items():
                wanted = np.stack([vectors[source][organ] for source, organ in queries])
                body = np.argwhere(self.scans.read_foreground(target))
                found[target] = find_nearest(self._embed(embedding, target), body, wanted)
                progress.advance()
        return self._errors(name, found)

    def by_place(self) -> pd.DataFrame:
        """The same by the place relative to the body, which looks at no intensity."""
        found = {
            target: np.concatenate(
                [
                    relative_places(
                        self.middles[source][organ][None],
                        self.scans[source].foreground_box,
                        self.scans[target].foreground_box,
                    )
                    for source, organ in queries
                ]
            )
            for target, queries in self.asked.items()
        }
        return self._errors(PLACE, found)

    def _embed(self, embedding: Embedding, i: int) -> Embed:
        return partial(embedding, self.scans.read(i), self.scans[i].hounsfield)

    def _errors(self, name: str, found: Mapping[int, Any]) -> pd.DataFrame:
        rows = []
        for target, places in found.items():
            record, queries = self.scans[target], self.asked[target]
            truth = np.stack([self.middles[target][organ] for _, organ in queries])
            errors = errors_mm(places, truth, record.spacing)
            for (source, organ), error in zip(queries, errors, strict=True):
                rows.append((name, self.scans[source].id, record.id, organ, float(error)))
        return pd.DataFrame(rows, columns=_COLUMNS)
