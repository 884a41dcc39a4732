"""Two overlapping crops of one scan, and voxels of the body that lie in both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from selfscan.scans.crops.examples import Crop, Example
from selfscan.scans.crops.places import foreground_voxel, require_size, voxel
from selfscan.scans.record import Voxel
from selfscan.scans.store import Store

_TRIES = 16  # pairs drawn before one of few shared voxels is taken


@dataclass(frozen=True)
class OverlappingCrops:
    """Pairs of crops around body voxels, with the voxels that a network should know again.

    Both crops of a pair hold one voxel drawn uniformly from the body, and lie anywhere inside the
    scan that allows. Of the body voxels in both crops up to `voxels` are drawn without replacement.
    A pair that shares fewer than `fewest` is drawn anew, up to 16 times; then the one that shares
    most is taken.

    An example's crops are first and second view of the first pair, then of the second, and so on.
    Its extras are `voxels`, positions (pairs, voxels, 2, 3) of shared voxels in either crop, and
    `shared` (pairs,), how many there are; positions past those are 0.

    Source: Goncharov et al., "vox2vec", MICCAI 2023, arXiv 2307.14725, and its release, which has
    no `fewest`, and where all pairs of a batch are of one scan.

    Attributes:
        size: Voxels of a crop along (X, Y, Z).
        voxels: Shared voxels of a pair at most.
        pairs: Pairs of an example, all of one scan.
        fewest: Shared voxels that a pair should have.
    """

    size: Voxel = (128, 128, 32)
    voxels: int = 1024
    pairs: int = 1
    fewest: int = 16

    def __post_init__(self) -> None:
        """Refuse values without a meaning."""
        require_size(self.size)
        for name in ("voxels", "pairs", "fewest"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    def check(self, store: Store) -> None:
        """Any store will do: `prepare` gives each scan a foreground."""

    def draw(self, store: Store, random: np.random.Generator) -> Example:
        """The pairs of one scan, each scan equally likely."""
        scan = int(random.integers(len(store)))
        crops: list[Crop] = []
        positions = np.zeros((self.pairs, self.voxels, 2, 3), dtype=np.int64)
        shared = np.zeros(self.pairs, dtype=np.int64)
        for pair in range(self.pairs):
            starts, found = self._draw_pair(store, scan, random)
            crops += [Crop(scan, voxel(start), self.size) for start in starts]
            shared[pair] = len(found)
            positions[pair, : len(found)] = found[:, None] - starts
        return Example(tuple(crops), extras={"voxels": positions, "shared": shared})

    def _draw_pair(
        self, store: Store, scan: int, random: np.random.Generator
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Starts (2, 3) of the crops, and shared voxels (N, 3) of the scan."""
        best = None
        for _ in range(_TRIES):
            center = foreground_voxel(store, scan, random)
            low, high = start_range(center, store[scan].shape, self.size)
            starts = random.integers(low, high, size=(2, 3), endpoint=True)
            found = self._shared_voxels(store, scan, starts, random)
            if best is None or len(found) > len(best[1]):
                best = starts, found
            if len(found) >= min(self.fewest, self.voxels):
                break
        assert best is not None
        return best

    def _shared_voxels(
        self,
        store: Store,
        scan: int,
        starts: npt.NDArray[np.int64],
        random: np.random.Generator,
    ) -> npt.NDArray[np.int64]:
        first = np.maximum(starts.max(axis=0), 0)
        past = np.minimum(starts.min(axis=0) + self.size, store[scan].shape)
        extent = past - first
        inside = np.flatnonzero(store.read_foreground(scan, voxel(first), voxel(extent)))
        if len(inside) > self.voxels:
            inside = random.choice(inside, self.voxels, replace=False, shuffle=False)
        voxels: npt.NDArray[np.int64] = first + np.stack(np.unravel_index(inside, extent), axis=1)
        return voxels


def start_range(
    center: npt.NDArray[np.int64], shape: Voxel, size: Voxel
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """First and last start of the crops of a size that hold a voxel and lie inside a scan.

    Along an axis on which the scan is smaller than the crop it lies centered in it.
    """
    room = np.subtract(shape, size)
    low = np.where(room >= 0, np.maximum(center - np.array(size) + 1, 0), room // 2)
    high = np.where(room >= 0, np.minimum(room, center), room // 2)
    return low, high
