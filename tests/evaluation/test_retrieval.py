"""Searches whose answers are known: by coordinates, by a permutation, by brute force."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from selfscan.evaluation.retrieval import Embed, Standard, errors_mm, find_nearest, gather

SHAPE = (9, 8, 7)
VOXELS = np.indices(SHAPE).reshape(3, -1).T


def in_blocks(table: np.ndarray, *, size: int = 100) -> Embed:
    """Embeddings (X, Y, Z, F) read in blocks, those of odd places first, as windows may come."""

    def embed(voxels: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        order = np.argsort(np.arange(len(voxels)) % 2 == 0, kind="stable")
        for first in range(0, len(voxels), size):
            members = order[first : first + size]
            yield members, table[tuple(voxels[members].T)]

    return embed


def coordinates() -> np.ndarray:
    """A voxel's embedding is its place on a sphere: where it is, and nothing else."""
    place = (np.moveaxis(np.indices(SHAPE), 0, -1) / np.array(SHAPE)).astype(np.float32)
    return np.concatenate([np.cos(2 * place), np.sin(2 * place)], axis=-1)


def test_coordinates_as_embedding_find_every_voxel() -> None:
    embed = in_blocks(coordinates())
    found = find_nearest(embed, VOXELS, gather(embed, VOXELS))
    assert errors_mm(found, VOXELS, (1.0, 2.0, 3.0)).max() == 0


def test_a_permuted_embedding_finds_places_far_away() -> None:
    shuffled = np.random.default_rng(0).permutation(coordinates().reshape(-1, 6))
    queries = gather(in_blocks(coordinates()), VOXELS)
    found = find_nearest(in_blocks(shuffled.reshape(*SHAPE, 6)), VOXELS, queries)
    errors = errors_mm(found, VOXELS, (1.0, 1.0, 1.0))
    # Two voxels drawn anywhere are 4.5 voxels apart on average.
    assert 4 < errors.mean() < 5.5


def test_only_candidates_are_found() -> None:
    embed = in_blocks(coordinates())
    upper = VOXELS[VOXELS[:, 2] >= 3]
    found = find_nearest(embed, upper, gather(embed, np.array([[4, 4, 0], [1, 2, 5]])))
    assert found[0, 2] == 3
    assert found[1].tolist() == [1, 2, 5]


def test_the_answer_is_that_of_one_large_product() -> None:
    random = np.random.default_rng(1)
    table, queries = random.normal(3, 2, (*SHAPE, 5)), random.normal(3, 2, (40, 5))
    flat = table.reshape(-1, 5)
    mean, spread = flat.mean(axis=0), flat.std(axis=0)
    ours, theirs = (queries - mean) / spread, (flat - mean) / spread
    cosines = (ours @ theirs.T) / np.linalg.norm(theirs, axis=1)
    expected = VOXELS[cosines.argmax(axis=1)]
    for size in (17, 100, 1000):
        found = find_nearest(in_blocks(table, size=size), VOXELS, queries.astype(np.float32))
        np.testing.assert_array_equal(found, expected)


def test_the_scale_of_a_feature_does_not_matter_nor_one_that_is_constant() -> None:
    random = np.random.default_rng(2)
    table, queries = random.normal(0, 1, (*SHAPE, 4)), random.normal(0, 1, (30, 4))
    found = find_nearest(in_blocks(table), VOXELS, queries)
    scale, shift = np.array([1, 1000, 0.01, 1]), np.array([5, 0, -1, 100])
    again = find_nearest(in_blocks(table * scale + shift), VOXELS, queries * scale + shift)
    np.testing.assert_array_equal(again, found)
    constant = np.concatenate([table, np.full((*SHAPE, 1), 7.0)], axis=-1)
    more = np.concatenate([queries, np.full((30, 1), 7.0)], axis=-1)
    np.testing.assert_array_equal(find_nearest(in_blocks(constant), VOXELS, more), found)


def test_an_embedding_without_direction_is_no_error() -> None:
    standard = Standard.of(np.array([[1.0, 2.0], [3.0, 4.0]]))
    np.testing.assert_allclose(
        standard.directions(np.array([[2.0, 3.0], [3.0, 3.0]])), [[0, 0], [1, 0]]
    )


def test_errors_are_in_mm() -> None:
    found = errors_mm(
        np.array([[1, 1, 1], [0, 0, 0]]), np.array([[4, 1, 3], [0, 0, 0.5]]), (1, 1, 2)
    )
    np.testing.assert_allclose(found, [5, 1])
