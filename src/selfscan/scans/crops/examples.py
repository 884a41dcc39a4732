"""Contract 2: a policy says which crops make one training example; the data side reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from selfscan.scans.record import Voxel
from selfscan.scans.store import Store


@dataclass(frozen=True)
class Crop:
    """A box of one scan, in voxels; it may stick out of the volume.

    Attributes:
        scan: The scan's number in the store.
        start: First voxel along (X, Y, Z).
        size: Voxels along (X, Y, Z).
        extent: Voxels of the scan that the crop covers, resized to `size`; None: as many as `size`.
    """

    scan: int
    start: Voxel
    size: Voxel
    extent: Voxel | None = None

    @property
    def covered(self) -> Voxel:
        """Voxels of the scan that it covers along (X, Y, Z), whatever their number once read."""
        return self.size if self.extent is None else self.extent

    @property
    def middle(self) -> npt.NDArray[np.int64]:
        """The voxel of the scan in its middle, (3,); the one past it where there are two."""
        middle: npt.NDArray[np.int64] = np.add(self.start, np.array(self.covered) // 2)
        return middle

    @property
    def to_scan(self) -> npt.NDArray[np.float64]:
        """Its voxel indices to those of the scan, (4, 4); both cover the same box of space."""
        steps = np.divide(self.covered, self.size)
        matrix = np.diag([*steps, 1.0])
        matrix[:3, 3] = self.start + (steps - 1) / 2
        return matrix


@dataclass(frozen=True)
class Example:
    """The crops that a method looks at together.

    Attributes:
        crops: One or more crops of one size.
        extras: What the method attaches, such as a pseudo-label: arrays of the same shape and type
            in every example.
    """

    crops: tuple[Crop, ...]
    extras: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)


class CropPolicy(Protocol):
    """Draws examples from a store."""

    def check(self, store: Store) -> None:
        """Refuse a store that this policy cannot draw from, before training starts.

        Raises:
            SelfscanError: No scan of the store can give an example; the message says why.
        """

    def draw(self, store: Store, random: np.random.Generator) -> Example:
        """One example; equal generators give equal examples."""


@runtime_checkable
class AnchoredPolicy(CropPolicy, Protocol):
    """Also lays examples where it is told to, as at visual words."""

    @property
    def anchored(self) -> tuple[int, ...]:
        """The numbers of those crops of an example that are laid; others lie by them."""

    def draw_at(
        self, store: Store, anchors: Sequence[Crop], random: np.random.Generator
    ) -> Example:
        """One example whose laid crops have their middle in that of an anchor each.

        Args:
            store: Where the scans are.
            anchors: As many as crops are laid; an anchor tells by its `extent` how large what it
                shows is in this scan, against its `size`.
            random: Of all that is still open.
        """
