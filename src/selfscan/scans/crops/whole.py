"""A scan as a whole, resized to one size."""

from __future__ import annotations

from dataclasses import dataclass
from operator import sub
from typing import get_args

import numpy as np

from selfscan.scans.crops.across import Within
from selfscan.scans.crops.examples import Crop, Example
from selfscan.scans.crops.places import require_size
from selfscan.scans.record import Voxel
from selfscan.scans.store import Store


@dataclass(frozen=True)
class WholeScans:
    """One crop that covers all of a scan drawn uniformly, or the box around its body, resized.

    Attributes:
        size: Voxels along (X, Y, Z) that it is resized to.
        within: Whether it covers the `scan`, or the box around its `body`.
    """

    size: Voxel
    within: Within = "scan"

    def __post_init__(self) -> None:
        """Refuse values without a meaning."""
        require_size(self.size)
        if self.within not in get_args(Within):
            raise ValueError(f"within must be {' or '.join(get_args(Within))}, got {self.within!r}")

    def check(self, store: Store) -> None:
        """Any store will do."""

    def draw(self, store: Store, random: np.random.Generator) -> Example:
        """A whole scan, each equally likely."""
        return Example((self.of(store, int(random.integers(len(store)))),))

    def of(self, store: Store, scan: int) -> Crop:
        """The crop of this scan."""
        whole = ((0, 0, 0), store.shape(scan))
        low, past = store.foreground_box(scan) if self.within == "body" else whole
        x, y, z = map(sub, past, low)
        return Crop(scan, low, self.size, extent=(x, y, z))
