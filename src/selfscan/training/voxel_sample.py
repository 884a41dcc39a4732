"""As many voxels of each structure, and more of the background, with their frozen features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from selfscan.errors import SelfscanError
from selfscan.progress import Progress
from selfscan.scans.store import Store
from selfscan.training.frozen import FrozenBackbone, Positions


@dataclass(frozen=True)
class VoxelDraw:
    """Which voxels a head learns from.

    Attributes:
        positions: Of the voxels of each scan, (N, 3).
        classes: Of the voxels of all scans, one after another, (N,).
        prior: Share of each class among all voxels of the scans, (K,).
    """

    positions: tuple[Positions, ...]
    classes: npt.NDArray[np.int64]
    prior: npt.NDArray[np.float64]

    @property
    def share(self) -> npt.NDArray[np.float64]:
        """Share of each class among the voxels drawn, (K,)."""
        share: npt.NDArray[np.float64] = np.bincount(self.classes, minlength=len(self.prior)) / len(
            self.classes
        )
        return share


def draw_voxels(
    store: Store, *, per_class: int, background: int, seed: int, visible: bool = True
) -> VoxelDraw:
    """Draw voxels of every scan of a store.

    Args:
        store: The labelled scans to learn from.
        per_class: Voxels of each structure from each scan.
        background: Voxels of the background, 0, from each scan.
        seed: Of the draws.
        visible: Whether progress is shown.

    Raises:
        SelfscanError: All labels are of one class.
    """
    counts = np.zeros(len(store.label_names), dtype=np.int64)
    positions, classes = [], []
    with Progress("labels", total=len(store), unit="labelled cases", visible=visible) as progress:
        for i in range(len(store)):
            labels = store.read_labels(i)
            counts += np.bincount(labels.ravel(), minlength=len(counts))
            random = np.random.default_rng([seed, i])
            places, drawn = sample_voxels(
                labels, per_class=per_class, background=background, random=random
            )
            positions.append(places)
            classes.append(drawn)
            progress.advance()
    if (counts > 0).sum() < 2:
        raise SelfscanError(
            f"{store.path}: found voxels of {(counts > 0).sum()} class in the labels of "
            f"{', '.join(store.ids)}; expected the background and one structure at least; "
            "choose other labelled cases"
        )
    return VoxelDraw(tuple(positions), np.concatenate(classes), counts / counts.sum())


def sample_features(
    frozen: FrozenBackbone, store: Store, draw: VoxelDraw, *, visible: bool = True
) -> Tensor:
    """Compute the features (N, F) of the voxels drawn from a store."""
    features = []
    with Progress("features", total=len(store), unit="labelled cases", visible=visible) as progress:
        for i, positions in enumerate(draw.positions):
            features.append(frozen.features(store, i, positions))
            progress.advance()
    return torch.cat(features)


def sample_voxels(
    labels: npt.NDArray[Any], *, per_class: int, background: int, random: np.random.Generator
) -> tuple[Positions, npt.NDArray[np.int64]]:
    """Draw voxels of each class that is present, without replacement.

    Args:
        labels: A label map (X, Y, Z).
        per_class: How many of each structure; all where it has fewer.
        background: How many of the background, 0; all where it has fewer.
        random: Where the draws come from.

    Returns:
        Positions (N, 3) and classes (N,).
    """
    positions, classes = [], []
    for label in np.unique(labels):
        of_label = labels == label
        up_to_slice = of_label.sum((1, 2)).cumsum()
        count = int(up_to_slice[-1])
        asked = per_class if label else background
        ranks = np.sort(random.choice(count, min(asked, count), replace=False))
        # The r-th voxel of a class is looked up slice by slice: a list of all would be too long.
        slices = np.searchsorted(up_to_slice, ranks, side="right")
        for x in np.unique(slices):
            before = up_to_slice[x - 1] if x else 0
            places = np.flatnonzero(of_label[x])[ranks[slices == x] - before]
            y, z = np.unravel_index(places, of_label.shape[1:])
            positions.append(np.stack([np.full_like(y, x), y, z], axis=1))
        classes.append(np.full(len(ranks), label, dtype=np.int64))
    return np.concatenate(positions), np.concatenate(classes)
