"""Exact nearest neighbors among many embeddings, block by block, in bounded memory.

Squared distances of blocks by |a|^2 + |b|^2 - 2ab in float32, about the mean embedding, choose a
few more candidates than are asked for; the distances of these are computed directly in float64.
Where the rounding of the former could have left out one as near, all distances are.

Source: the arrangement for many scans is ours; the release of TransVW sorts all distances.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

BLOCK = 65_536
_SPARE = 64


def nearest(
    queries: Tensor, candidates: Tensor, count: int, *, block: int = BLOCK
) -> tuple[Tensor, Tensor]:
    """The candidates nearest to each query by Euclidean distance; ties by number.

    Args:
        queries: Embeddings (R, F), float32.
        candidates: Embeddings (N, F), float32, in the order of their scans' ids.
        count: How many, at most N.
        block: Candidates compared at a time.

    Returns:
        Numbers of the candidates (R, count), int64, by rising distance, and the distances (R,
        count), float64.
    """
    if not 1 <= count <= len(candidates):
        raise ValueError(f"count must be within 1 to {len(candidates)}, got {count}")
    kept = min(count + _SPARE, len(candidates))
    squares, numbers, errors = _smallest(queries, candidates, kept, block)
    rows = []
    for row, query in enumerate(queries):
        apart = candidates[numbers[row]].double() - query.double()
        distances = torch.linalg.vector_norm(apart, dim=1)
        # Stable sorts, the less important key first.
        order = numbers[row].argsort()
        order = order[distances[order].argsort(stable=True)][:count]
        farthest = distances[order[-1]]
        if kept < len(candidates) and farthest.square() >= squares[row].max() - errors[row]:
            # One that was left out may be as near.
            rows.append(_all_sorted(query, candidates, count, block))
        else:
            rows.append((numbers[row][order], distances[order]))
    return torch.stack([row[0] for row in rows]), torch.stack([row[1] for row in rows])


def walk(
    query: Tensor, candidates: Tensor, *, first: int | None = None, ahead: int = 256
) -> Iterator[tuple[int, float]]:
    """All candidates by rising distance, (number, distance); only as many are sorted as are asked.

    Args:
        query: Embedding (F,).
        candidates: Embeddings (N, F).
        first: A candidate that comes first whatever the distances, as a reference is its own
            nearest neighbor where another scan has the same embedding.
        ahead: Candidates sorted at first; when they are used up, twice as many.
    """
    if first is not None:
        yield first, float(torch.linalg.vector_norm(candidates[first].double() - query.double()))
    done, count = 0, 0
    while done < len(candidates):
        count = min(max(2 * count, ahead), len(candidates))
        numbers, distances = nearest(query[None], candidates, count)
        pairs = zip(numbers[0, done:].tolist(), distances[0, done:].tolist(), strict=True)
        yield from (pair for pair in pairs if pair[0] != first)
        done = count


def _smallest(
    queries: Tensor, candidates: Tensor, kept: int, block: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Smallest squared distances (R, kept), their candidates, and bounds (R,) on their rounding."""
    center = candidates.mean(dim=0)
    queries = queries - center
    own = queries.square().sum(dim=1, keepdim=True)
    squares = queries.new_empty(len(queries), 0)
    numbers = torch.empty(len(queries), 0, dtype=torch.int64, device=queries.device)
    longest = queries.new_zeros(())
    for start in range(0, len(candidates), block):
        some = candidates[start : start + block] - center
        lengths = some.square().sum(dim=1)
        longest = torch.maximum(longest, lengths.max())
        found = own + lengths - 2 * (queries @ some.T)
        those = torch.arange(start, start + len(some), device=queries.device)
        squares = torch.cat([squares, found], dim=1)
        numbers = torch.cat([numbers, those.expand(len(queries), -1)], dim=1)
        squares, best = squares.topk(min(kept, squares.shape[1]), largest=False, sorted=False)
        numbers = numbers.gather(1, best)
    # Of a sum of F products, in any order; a square adds up three of them.
    epsilon = (queries.shape[1] + 8) * torch.finfo(queries.dtype).eps
    errors = epsilon * (own[:, 0].double().sqrt() + longest.double().sqrt()).square()
    return squares.double(), numbers, errors


def _all_sorted(query: Tensor, candidates: Tensor, count: int, block: int) -> tuple[Tensor, Tensor]:
    """The same for one query from the direct distances of all candidates."""
    distances = torch.cat(
        [
            torch.linalg.vector_norm(
                candidates[start : start + block].double() - query.double(), dim=1
            )
            for start in range(0, len(candidates), block)
        ]
    )
    order = distances.argsort(stable=True)[:count]
    return order, distances[order]
