"""Equally many voxels of each class from a few labelled scans, with their frozen features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from selfscan.progress import Progress
from selfscan.scans.store import Store
from selfscan.training.frozen import FrozenBackbone, Positions


@dataclass(frozen=True)
class VoxelSample:
    """What a head learns from.

    Attributes:
        features: Of the voxels drawn, (N, F).
        classes: Of the voxels drawn, (N,).
        prior: Share of each class among all voxels of the scans, (K,).
    """

    features: Tensor
    classes: npt.NDArray[np.int64]
    prior: npt.NDArray[np.float64]

    @property
    def share(self) -> npt.NDArray[np.float64]:
        """Share of each class among the voxels drawn, (K,)."""
        share: npt.NDArray[np.float64] = np.bincount(self.classes, minlength=len(self.prior)) / len(
            self.classes
        )
        return share


def draw_sample(frozen: FrozenBackbone, store: Store, *, per_class: int, seed: int) -> VoxelSample:
    """Draw voxels of every scan of a store and compute their features.

    Args:
        frozen: The backbone.
        store: The labelled scans to learn from.
        per_class: Voxels of each class from each scan.
        seed: Of the draws.
    """
    counts = np.zeros(len(store.label_names), dtype=np.int64)
    features, classes = [], []
    with Progress("features", total=len(store), unit="labelled cases") as progress:
        for i in range(len(store)):
            labels = store.read_labels(i)
            counts += np.bincount(labels.ravel(), minlength=len(counts))
            random = np.random.default_rng([seed, i])
            positions, drawn = sample_voxels(labels, per_class=per_class, random=random)
            features.append(frozen.features(store, i, positions))
            classes.append(drawn)
            progress.advance()
    return VoxelSample(torch.cat(features), np.concatenate(classes), counts / counts.sum())


def sample_voxels(
    labels: npt.NDArray[Any], *, per_class: int, random: np.random.Generator
) -> tuple[Positions, npt.NDArray[np.int64]]:
    """Draw voxels of each class that is present, without replacement.

    Args:
        labels: A label map (X, Y, Z).
        per_class: How many of each class; all where a class has fewer.
        random: Where the draws come from.

    Returns:
        Positions (N, 3) and classes (N,).
    """
    positions, classes = [], []
    for label in np.unique(labels):
        of_label = labels == label
        up_to_slice = of_label.sum((1, 2)).cumsum()
        count = int(up_to_slice[-1])
        ranks = np.sort(random.choice(count, min(per_class, count), replace=False))
        # The r-th voxel of a class is looked up slice by slice: a list of all would be too long.
        slices = np.searchsorted(up_to_slice, ranks, side="right")
        for x in np.unique(slices):
            before = up_to_slice[x - 1] if x else 0
            places = np.flatnonzero(of_label[x])[ranks[slices == x] - before]
            y, z = np.unravel_index(places, of_label.shape[1:])
            positions.append(np.stack([np.full_like(y, x), y, z], axis=1))
        classes.append(np.full(len(ranks), label, dtype=np.int64))
    return np.concatenate(positions), np.concatenate(classes)
