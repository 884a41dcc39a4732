from __future__ import annotations

import numpy as np

from selfscan.evaluation import floors
from selfscan.evaluation.floors import intensity_patches, relative_places
from selfscan.evaluation.retrieval import gather


def patches(volume: np.ndarray, positions: np.ndarray, size: int = 3) -> np.ndarray:
    def embed(voxels: np.ndarray) -> object:
        return intensity_patches(volume, (True, False), voxels, window_hu=(0.0, 100.0), size=size)

    return gather(embed, positions)


def test_a_patch_holds_the_window_of_what_lies_around() -> None:
    random = np.random.default_rng(0)
    volume = random.integers(0, 100, (2, 6, 7, 8)).astype(np.int16)
    found = patches(volume, np.array([[2, 3, 4], [1, 1, 1]]))
    assert found.shape == (2, 2 * 27)
    np.testing.assert_allclose(found[0, :27], volume[0, 1:4, 2:5, 3:6].ravel() / 100)
    np.testing.assert_allclose(found[0, 27:], volume[1, 1:4, 2:5, 3:6].ravel() / 10_000)


def test_past_the_border_the_nearest_voxel_is_repeated() -> None:
    volume = np.arange(2 * 27).reshape(2, 3, 3, 3).astype(np.int16)
    corner = patches(volume, np.array([[0, 0, 0]]))[0, :27].reshape(3, 3, 3)
    np.testing.assert_allclose(corner[:2, :2, :2], 0)
    np.testing.assert_allclose(corner[1:, 1:, 1:], volume[0, :2, :2, :2] / 100)


def test_blocks_change_nothing(monkeypatch) -> None:
    volume = np.random.default_rng(0).integers(0, 100, (2, 6, 7, 8)).astype(np.int16)
    positions = np.indices((6, 7, 8)).reshape(3, -1).T
    whole = patches(volume, positions)
    monkeypatch.setattr(floors, "_BLOCK", 100)
    np.testing.assert_array_equal(patches(volume, positions), whole)


def test_the_same_relative_place() -> None:
    box, other = ((0, 10, 0), (10, 20, 4)), ((5, 0, 0), (25, 10, 8))
    # The edges of the first voxel are those of two voxels along X and Z, and of one along Y.
    found = relative_places(np.array([[0, 10, 0], [9, 19, 3]]), box, other)
    np.testing.assert_allclose(found, [[5.5, 0, 0.5], [23.5, 9, 6.5]])
    np.testing.assert_allclose(relative_places(found, other, box), [[0, 10, 0], [9, 19, 3]])
