"""Two overlapping crops of one scan, and voxels of the body that lie in both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from selfscan.scans.crops.examples import Crop, Example
from selfscan.scans.crops.places import foreground_voxel, laid_at, require_size, voxel
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

    @property
    def anchored(self) -> tuple[int, ...]:
        """The first crop of each pair."""
        return tuple(range(0, 2 * self.pairs, 2))

    def draw(self, store: Store, random: np.random.Generator) -> Example:
        """The pairs of one scan, each scan equally likely."""
        scan = int(random.integers(len(store)))
        return self._example([self._draw_pair(store, scan, random) for _ in range(self.pairs)])

    def draw_at(
        self, store: Store, anchors: Sequence[Crop], random: np.random.Generator
    ) -> Example:
        """Pairs whose first crop lies at an anchor, and whose second holds its middle.

        No crop is resized, as both views of a voxel have one scale.
        """
        return self._example([self._draw_pair(store, a.scan, random, a) for a in anchors])

    def _example(self, pairs: Sequence[_Pair]) -> Example:
        positions = np.zeros((self.pairs, self.voxels, 2, 3), dtype=np.int64)
        for number, pair in enumerate(pairs):
            positions[number, : len(pair.shared)] = pair.shared[:, None] - pair.starts
        return Example(
            tuple(Crop(pair.scan, voxel(at), self.size) for pair in pairs for at in pair.starts),
            extras={
                "voxels": positions,
                "shared": np.array([len(pair.shared) for pair in pairs], dtype=np.int64),
            },
        )

    def _draw_pair(
        self, store: Store, scan: int, random: np.random.Generator, anchor: Crop | None = None
    ) -> _Pair:
        best, shape = None, store.shape(scan)
        first = None if anchor is None else laid_at(anchor, shape, self.size, resized=False)
        for _ in range(_TRIES):
            center = foreground_voxel(store, scan, random) if anchor is None else anchor.middle
            low, high = start_range(center, shape, self.size)
            starts = random.integers(low, high, size=(2, 3), endpoint=True)
            if first is not None:
                starts[0] = first.start
            found = self._shared_voxels(store, scan, starts, random)
            if best is None or len(found) > len(best.shared):
                best = _Pair(scan, starts, found)
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
        past = np.minimum(starts.min(axis=0) + self.size, store.shape(scan))
        extent = past - first
        inside = np.flatnonzero(store.read_foreground(scan, voxel(first), voxel(extent)))
        if len(inside) > self.voxels:
            inside = random.choice(inside, self.voxels, replace=False, shuffle=False)
        voxels: npt.NDArray[np.int64] = first + np.stack(np.unravel_index(inside, extent), axis=1)
        return voxels


@dataclass(frozen=True)
class _Pair:
    """Starts (2, 3) of two crops of a scan, and shared voxels (N, 3) of the scan."""

    scan: int
    starts: npt.NDArray[np.int64]
    shared: npt.NDArray[np.int64]


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
