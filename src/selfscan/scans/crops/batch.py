"""What a training step gets: B examples of K crops each, as tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from selfscan.scans.crops.examples import Example


@dataclass(frozen=True)
class Batch:
    """B examples of K crops each.

    Attributes:
        volumes: Stored voxels (B, K, C, X, Y, Z), int16.
        hounsfield: Which channels hold Hounsfield units (B, K, C), bool.
        examples: Numbers of the examples (B,), int64: the keys of their random streams.
        scans: Numbers of the scans in the store (B, K), int64.
        starts: First voxels of the crops in their scans (B, K, 3), int64; (X, Y, Z). From there a
            resized crop goes in steps of its own.
        labels: Label maps (B, K, X, Y, Z), int64, where they were asked for.
        extras: What the policy attached, (B, ...) each.
    """

    volumes: Tensor
    hounsfield: Tensor
    examples: Tensor
    scans: Tensor
    starts: Tensor
    labels: Tensor | None = None
    extras: dict[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        """The number of examples, B."""
        return len(self.examples)

    def to(self, device: torch.device | str) -> Batch:
        """The batch on another device; a copy to a GPU does not wait for the GPU."""
        at_once = torch.device(device).type == "cuda"
        return self._each(lambda tensor: tensor.to(device, non_blocking=at_once))

    def pin_memory(self) -> Batch:
        """The batch in page-locked memory, from which a GPU copies faster."""
        return self._each(Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        return Batch(
            volumes=change(self.volumes),
            hounsfield=change(self.hounsfield),
            examples=change(self.examples),
            scans=change(self.scans),
            starts=change(self.starts),
            labels=None if self.labels is None else change(self.labels),
            extras={name: change(value) for name, value in self.extras.items()},
        )


@dataclass(frozen=True)
class Item:
    """One example with its voxels: the fields of a `Batch` without B."""

    volumes: npt.NDArray[np.int16]
    hounsfield: npt.NDArray[np.bool_]
    number: int
    example: Example
    labels: npt.NDArray[np.int64] | None


def collate(items: Sequence[Item]) -> Batch:
    """Examples to a batch."""
    crops = [item.example.crops for item in items]
    labels = [item.labels for item in items if item.labels is not None]
    names = items[0].example.extras
    return Batch(
        volumes=torch.from_numpy(np.stack([item.volumes for item in items])),
        hounsfield=torch.from_numpy(np.stack([item.hounsfield for item in items])),
        examples=torch.tensor([item.number for item in items]),
        scans=torch.tensor([[crop.scan for crop in row] for row in crops]),
        starts=torch.tensor([[crop.start for crop in row] for row in crops]),
        labels=torch.from_numpy(np.stack(labels)) if labels else None,
        extras={
            name: torch.from_numpy(np.stack([item.example.extras[name] for item in items]))
            for name in names
        },
    )
