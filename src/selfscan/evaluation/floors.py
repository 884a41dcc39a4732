"""What finds a place without having learned anything: the least that an embedding must beat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from selfscan.evaluation.retrieval import Blocks
from selfscan.training.frozen import Positions
from selfscan.transforms.intensity import to_unit

Box = tuple[Sequence[int], Sequence[int]]
_BLOCK = 16_384  # patches at a time


def intensity_patches(
    volume: npt.NDArray[np.int16],
    hounsfield: Sequence[bool],
    positions: Positions,
    *,
    window_hu: tuple[float, float],
    size: int = 7,
) -> Blocks:
    """The intensities around voxels as their embedding.

    Args:
        volume: As stored, (C, X, Y, Z).
        hounsfield: Which channels are CT, C of them.
        positions: The voxels, (N, 3).
        window_hu: The window of CT channels, as the network sees it.
        size: Edge of the patch, in voxels; odd.

    Yields:
        Which of the voxels, (M,), and their embeddings, (M, C * size³); past the border the nearest
        voxel is repeated.
    """
    stored, channels = torch.from_numpy(volume)[None], torch.tensor([list(hounsfield)])
    units = to_unit(stored, channels, window_hu=window_hu)[0].numpy()
    reach = size // 2
    padded = np.pad(units, [(0, 0)] + [(reach, reach)] * 3, mode="edge")
    patches = np.lib.stride_tricks.sliding_window_view(padded, (size,) * 3, axis=(1, 2, 3))
    for first in range(0, len(positions), _BLOCK):
        members = np.arange(first, min(first + _BLOCK, len(positions)))
        x, y, z = positions[members].T
        yield members, patches[:, x, y, z].swapaxes(0, 1).reshape(len(members), -1)


def relative_places(positions: npt.NDArray[Any], source: Box, target: Box) -> npt.NDArray[Any]:
    """The same relative place in the target's box around the body, (N, 3), not rounded.

    Args:
        positions: Voxels of the source, (N, 3).
        source: First voxel of the box around the body, and one past the last.
        target: That of the scan to find the place in.
    """
    (first, past), (there, past_there) = np.array(source), np.array(target)
    share = (positions + 0.5 - first) / (past - first)
    places: npt.NDArray[Any] = there + share * (past_there - there) - 0.5
    return places
