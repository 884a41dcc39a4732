"""Find the voxel of a scan whose embedding is most similar to that of a query, among all voxels.

Similarity is the cosine between embeddings, each feature standardized over the body first, as the
levels of a pyramid differ in scale. On three warped head and neck CTs (600 queries, Models Genesis)
the median error was 11.6 mm so, 12.3 mm without standardizing, and 11.7 and 13.5 mm by the
Euclidean distance; 30 queries of organs did not tell these apart. The search is exact: every voxel
of the body is compared, window by window, so that memory holds one window's embeddings and not a
scan's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from selfscan.training.frozen import Positions

Array = npt.NDArray[Any]
Blocks = Iterator[tuple[npt.NDArray[np.int64], Any]]
# From voxels (N, 3) of one scan to blocks: which of the voxels (M,), and their embeddings (M, F).
Embed = Callable[[Positions], Blocks]

_SAMPLE = 4096  # voxels of the body that means and spreads are taken over


def find_nearest(embed: Embed, candidates: Positions, queries: Array) -> Positions:
    """The candidate whose embedding is most similar to that of each query.

    All are compared, not a grid first and then the surroundings of its best: with every second
    voxel along each axis, that found another voxel in 28% of the same queries, and in 44% by
    patches of intensities, whose median error rose from 2.5 to 4.8 mm. It would flatter networks.

    Args:
        embed: The embeddings of the scan to search.
        candidates: Its voxels to compare, (N, 3).
        queries: Embeddings to look for, (Q, F).

    Returns:
        A voxel for each query, (Q, 3).
    """
    sample = candidates[:: max(len(candidates) // _SAMPLE, 1)]
    standard = Standard.of(gather(embed, sample))
    directions = standard.directions(queries)
    chosen = np.zeros(len(queries), dtype=np.int64)
    highest = np.full(len(queries), -np.inf, dtype=np.float32)
    for members, embeddings in embed(candidates):
        cosines = directions @ standard.directions(np.asarray(embeddings)).T
        best = cosines.argmax(axis=1)
        values = cosines[np.arange(len(queries)), best]
        chosen = np.where(values > highest, members[best], chosen)
        highest = np.maximum(values, highest)
    found: Positions = candidates[chosen]
    return found


@dataclass(frozen=True)
class Standard:
    """Mean and spread of each feature, (F,)."""

    mean: npt.NDArray[np.float32]
    spread: npt.NDArray[np.float32]

    @classmethod
    def of(cls, embeddings: Array) -> Standard:
        """Those of a sample (N, F); a feature that is constant keeps its scale."""
        spread = embeddings.std(axis=0, dtype=np.float64)
        mean = embeddings.mean(axis=0, dtype=np.float64)
        return cls(mean.astype(np.float32), np.where(spread > 0, spread, 1).astype(np.float32))

    def directions(self, embeddings: Array) -> Array:
        """Standardized embeddings (N, F) as vectors of length 1, so that products are cosines."""
        standardized = (embeddings - self.mean) / self.spread
        length = np.linalg.norm(standardized, axis=1, keepdims=True)
        directions: Array = standardized / np.where(length > 0, length, 1)
        return directions


def gather(embed: Embed, positions: Positions) -> npt.NDArray[np.float32]:
    """The embeddings of voxels (N, 3) in their order, (N, F)."""
    members, embeddings = zip(*embed(positions), strict=True)
    order = np.argsort(np.concatenate(members))
    gathered: npt.NDArray[np.float32] = np.concatenate(embeddings)[order]
    return gathered


def errors_mm(
    found: Array, truth: Array, spacing: tuple[float, float, float]
) -> npt.NDArray[np.float64]:
    """Distances between places (N, 3) in voxels, in mm, (N,)."""
    errors: npt.NDArray[np.float64] = np.linalg.norm((found - truth) * np.array(spacing), axis=1)
    return errors
