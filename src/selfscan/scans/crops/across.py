"""Two crops at the same anatomical place of two patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from operator import sub
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from selfscan.errors import SelfscanError
from selfscan.scans.crops.examples import Crop, Example
from selfscan.scans.crops.places import moved_inside, require_size
from selfscan.scans.record import Voxel
from selfscan.scans.store import Store

Place = Literal["center", "shared", "whole"]
Within = Literal["scan", "body"]
Box = tuple[Voxel, Voxel]
_MIDDLE = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class MatchedCrops:
    """One crop of each of two scans, of different patients, at the same place of the anatomy.

    The first scan is drawn uniformly from all, the second from those of other patients. Scans are
    not registered: what counts as the same place is a position relative to the scan, fit for scans
    of one region, or to the box around the body, where scans show it with more or less around.

    A crop is moved to lie inside its scan; a smaller scan lies centered in it.

    Source: He et al., "Geometric Visual Similarity Learning", CVPR 2023, arXiv 2303.00874, which
    says that the images of a pair differ, and not how they come to one shape; its release draws
    both from all scans (`distinct=False`).

    Attributes:
        size: Voxels of a crop along (X, Y, Z).
        place: `center` is the middle of the scan or body; `shared` one position for both, uniform
            along each axis from its first to its last; `whole` all of it, resized to `size`.
        within: What positions are relative to: the `scan`, or the box around its `body`.
        distinct: Whether the patients differ; else the scans are drawn independently, and may be
            one.
    """

    size: Voxel
    place: Place = "center"
    within: Within = "scan"
    distinct: bool = True

    def __post_init__(self) -> None:
        """Refuse values without a meaning."""
        require_size(self.size)
        for name, allowed in (("place", get_args(Place)), ("within", get_args(Within))):
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name} must be {' or '.join(allowed)}, got {getattr(self, name)!r}"
                )

    def check(self, store: Store) -> None:
        """Refuse a store of one patient, where pairs are of two.

        Raises:
            SelfscanError: All scans are of one patient.
        """
        if self.distinct and store.patients.max() < 1:
            raise SelfscanError(
                f"{store.path}: found scans of one patient only ({len(store)}); expected at least "
                "two patients, since the crops of a pair are of different ones; add scans, or "
                "prepare them with subject keys that tell them apart"
            )

    def draw(self, store: Store, random: np.random.Generator) -> Example:
        """A pair, each first scan equally likely."""
        first = int(random.integers(len(store)))
        if self.distinct:
            second = _of_another_patient(store, first, random)
        else:
            second = int(random.integers(len(store)))
        fraction = random.random(3).tolist() if self.place == "shared" else _MIDDLE
        crops = [
            self._crop(scan, store.shape(scan), store.foreground_box(scan), fraction)
            for scan in (first, second)
        ]
        return Example(tuple(crops))

    def middle(self, shape: Voxel, body: Box) -> Crop:
        """The one crop of a scan that needs no draw; a `shared` position lies in the middle too.

        Args:
            shape: Voxels of the scan along (X, Y, Z).
            body: First voxel of the box around its body, and one past the last.
        """
        return self._crop(0, shape, body, _MIDDLE)

    def _crop(self, scan: int, shape: Voxel, body: Box, fraction: Sequence[float]) -> Crop:
        """The crop at fractions of the room that it has along (X, Y, Z)."""
        low, past = body if self.within == "body" else ((0, 0, 0), shape)
        x, y, z = map(sub, past, low)
        if self.place == "whole":
            return Crop(scan, low, self.size, extent=(x, y, z))
        rooms = map(sub, (x, y, z), self.size)
        # Rounded, and a tie down, so that the middle is that of every other policy: room // 2.
        start = (
            first + ceil((part if room >= 0 else 0.5) * room - 0.5)
            for first, room, part in zip(low, rooms, fraction, strict=True)
        )
        return Crop(scan, moved_inside(start, shape, self.size), self.size)


def _of_another_patient(store: Store, scan: int, random: np.random.Generator) -> int:
    """A scan of another patient than this one's, each equally likely."""
    scans, first, count = _by_patient(store)
    place = random.integers(len(store) - count[scan])
    return int(scans[place if place < first[scan] else place + count[scan]])


@lru_cache(maxsize=16)
def _by_patient(
    store: Store,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The scans in the order of their patients; where each scan's patient starts; how many."""
    counts = np.bincount(store.patients)
    first = np.cumsum(counts) - counts
    return np.argsort(store.patients, kind="stable"), first[store.patients], counts[store.patients]
