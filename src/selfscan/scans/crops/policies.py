"""Where crops are drawn: anywhere, in the body, around labels, or by the published lung rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import sub
from typing import Any

import numpy as np
import numpy.typing as npt

from selfscan.errors import SelfscanError
from selfscan.scans.crops.examples import Crop, Example
from selfscan.scans.crops.places import (
    foreground_voxel,
    laid_at,
    moved_inside,
    require_size,
    voxel,
)
from selfscan.scans.frames import CHUNK
from selfscan.scans.record import Voxel
from selfscan.scans.store import Store

_FEW_LABELS = 64  # are sooner counted one by one than as the integers that bincount makes of them


@dataclass(frozen=True)
class _CropsOfAScan:
    """Crops of a scan drawn uniformly, each drawn independently.

    Attributes:
        size: Voxels along (X, Y, Z).
        count: Crops of the scan.
    """

    size: Voxel
    count: int = 1

    def __post_init__(self) -> None:
        """Refuse a size without voxels, or no crops."""
        require_size(self.size)
        if self.count < 1:
            raise ValueError(f"count must be at least 1, got {self.count}")

    def check(self, store: Store) -> None:
        """Any store will do: `prepare` gives each scan a foreground."""

    @property
    def anchored(self) -> tuple[int, ...]:
        """All crops."""
        return tuple(range(self.count))

    def draw_at(
        self, store: Store, anchors: Sequence[Crop], random: np.random.Generator
    ) -> Example:
        """A crop at each anchor, resized as it is; of as many scans as the anchors are of."""
        return Example(
            tuple(laid_at(anchor, store.shape(anchor.scan), self.size) for anchor in anchors)
        )


class UniformCrops(_CropsOfAScan):
    """Crops anywhere inside a scan drawn uniformly; a smaller scan lies centered in them."""

    def draw(self, store: Store, random: np.random.Generator) -> Example:
        """Crops of one scan, each position inside it equally likely."""
        scan = int(random.integers(len(store)))
        shape = store.shape(scan)
        return Example(tuple(_anywhere(scan, shape, self.size, random) for _ in range(self.count)))


class ForegroundCrops(_CropsOfAScan):
    """Crops centered on voxels drawn uniformly from the body of a scan drawn uniformly.

    Near a border a crop is moved to lie inside the scan.
    """

    def draw(self, store: Store, random: np.random.Generator) -> Example:
        """Crops of one scan around voxels of its body."""
        scan = int(random.integers(len(store)))
        shape = store.shape(scan)
        centers = (foreground_voxel(store, scan, random) for _ in range(self.count))
        return Example(tuple(_around(scan, center, shape, self.size) for center in centers))


@dataclass(frozen=True)
class LabelCrops:
    """One crop of a labelled scan, around a label or anywhere.

    With probability `foreground_share` its center is a voxel of a class drawn uniformly among those
    present, each voxel of the class equally likely; else, or in a scan without any label above 0,
    the crop lies anywhere.

    Attributes:
        size: Voxels along (X, Y, Z).
        foreground_share: Share of crops around a label.
    """

    size: Voxel
    foreground_share: float = 0.5

    def __post_init__(self) -> None:
        """Refuse values without a meaning."""
        require_size(self.size)
        if not 0 <= self.foreground_share <= 1:
            raise ValueError(f"foreground_share must be within 0 to 1, got {self.foreground_share}")

    def check(self, store: Store) -> None:
        """Refuse a store with unlabelled scans.

        Raises:
            SelfscanError: Some scans have no labels.
        """
        if not store.labelled.all():
            raise SelfscanError(
                f"{store.path}: found {(~store.labelled).sum()} of {len(store)} scans without "
                "labels; crops around labels need labels in all; choose the labelled scans"
            )

    def draw(self, store: Store, random: np.random.Generator) -> Example:
        """One crop; the class, then the chunk by its count of the class, then the voxel."""
        scan = int(random.integers(len(store)))
        shape = store.shape(scan)
        counts = label_counts(store, scan)
        present = np.flatnonzero(counts[1:].sum(axis=1)) + 1
        if random.random() >= self.foreground_share or not len(present):
            return _one(_anywhere(scan, shape, self.size, random))
        label = present[random.integers(len(present))]
        rank = random.integers(counts[label].sum())
        totals = counts[label].cumsum()
        chunk = int(np.searchsorted(totals, rank, side="right"))
        start = np.array(_chunk_starts(shape)[chunk])
        labels = store.read_labels(scan, voxel(start), (CHUNK,) * 3)
        within = np.flatnonzero(labels == label)[rank - totals[chunk] + counts[label, chunk]]
        center = start + np.unravel_index(within, labels.shape)
        return _one(_around(scan, center, shape, self.size))


@lru_cache(maxsize=4096)
def label_counts(store: Store, scan: int) -> npt.NDArray[np.int64]:
    """How many voxels of each label each chunk of 64 voxels a side holds, (labels, chunks)."""
    chunks = [
        _voxels_of_each(store.read_labels(scan, start, (CHUNK,) * 3))
        for start in _chunk_starts(store.shape(scan))
    ]
    counts = np.zeros((max(map(len, chunks)), len(chunks)), dtype=np.int64)
    for position, chunk in enumerate(chunks):
        counts[: len(chunk), position] = chunk
    return counts


def _voxels_of_each(labels: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """How many voxels there are of label 0, 1, and so on."""
    highest = int(labels.max())
    if highest < _FEW_LABELS:
        return np.array([np.count_nonzero(labels == label) for label in range(highest + 1)])
    return np.bincount(labels.ravel())


def _chunk_starts(shape: Voxel) -> list[Voxel]:
    x, y, z = (range(0, length, CHUNK) for length in shape)
    return [(i, j, k) for i in x for j in y for k in z]


def _anywhere(scan: int, shape: Voxel, size: Voxel, random: np.random.Generator) -> Crop:
    x, y, z = (
        int(random.integers(room + 1)) if room >= 0 else room // 2 for room in map(sub, shape, size)
    )
    return Crop(scan, (x, y, z), size)


def _around(scan: int, center: npt.NDArray[np.int64], shape: Voxel, size: Voxel) -> Crop:
    start = (at - side // 2 for at, side in zip(center.tolist(), size, strict=True))
    return Crop(scan, moved_inside(start, shape, size), size)


def _one(crop: Crop) -> Example:
    return Example(crops=(crop,))
