"""Neighbors in blocks are those of brute force; ties by number; a reference comes first."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from selfscan.discovery.neighbors import nearest, walk


def embeddings(count: int, features: int = 16, *, seed: int = 0, offset: float = 0.0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(count, features, generator=random) + offset


def brute_force(queries: Tensor, candidates: Tensor) -> tuple[Tensor, Tensor]:
    apart = candidates[None].double() - queries[:, None].double()
    distances = apart.square().sum(2).sqrt()
    return distances.argsort(dim=1, stable=True), distances


@pytest.mark.parametrize("block", [1, 7, 100, 1000])
def test_blocks_give_the_order_of_brute_force(block: int) -> None:
    candidates, queries = embeddings(300), embeddings(4, seed=1)
    order, every = brute_force(queries, candidates)
    for count in (1, 20, 300):
        numbers, distances = nearest(queries, candidates, count, block=block)
        assert torch.equal(numbers, order[:, :count])
        assert torch.allclose(distances, every.gather(1, numbers), rtol=1e-12)
        assert (distances.diff(dim=1) >= 0).all()


def test_embeddings_far_from_zero_and_close_to_each_other_keep_their_order() -> None:
    """Without the center, float32 would leave nothing of such differences."""
    candidates = embeddings(500, offset=1000.0)
    order, _ = brute_force(candidates[:3], candidates)
    numbers, _ = nearest(candidates[:3], candidates, 50, block=64)
    assert torch.equal(numbers, order[:, :50])


def test_where_rounding_could_matter_all_are_compared_directly() -> None:
    """A far outlier makes float32 squares useless for the differences among the rest."""
    candidates = embeddings(400, 4) * 1e-4
    candidates[7] = 1e4
    candidates[8] = -1e4
    order, _ = brute_force(candidates[:2], candidates)
    numbers, _ = nearest(candidates[:2], candidates, 5, block=50)
    assert torch.equal(numbers, order[:, :5])


def test_ties_are_in_the_order_of_numbers() -> None:
    candidates = embeddings(10).repeat(20, 1)  # each 20 times
    numbers, distances = nearest(candidates[3][None], candidates, 25, block=32)
    assert numbers[0, :20].tolist() == list(range(3, 200, 10))
    assert distances[0, :20].max() == 0


def test_a_walk_passes_every_candidate_once_by_rising_distance() -> None:
    candidates = embeddings(150)
    order, _ = brute_force(candidates[:1], candidates)
    walked = list(walk(candidates[0], candidates, first=0, ahead=16))
    assert [number for number, _ in walked] == order[0].tolist()
    distances = [distance for _, distance in walked]
    assert distances == sorted(distances)
    assert distances[0] == 0


def test_a_reference_comes_before_its_double() -> None:
    candidates = embeddings(40)
    candidates[5] = candidates[30]
    assert next(walk(candidates[30], candidates))[0] == 5
    walked = [number for number, _ in walk(candidates[30], candidates, first=30, ahead=4)]
    assert walked[:2] == [30, 5]
    assert sorted(walked) == list(range(40))


@pytest.mark.parametrize("count", [0, 41])
def test_counts_without_a_meaning_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"count must be within 1 to 40, got {count}"):
        nearest(embeddings(1), embeddings(40), count)
