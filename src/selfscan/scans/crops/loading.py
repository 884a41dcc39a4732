"""Examples to batches: item i depends on (seed, i) alone, on any worker and rank."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import blosc2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from selfscan.errors import SelfscanError
from selfscan.scans.crops.batch import Batch, Item, collate
from selfscan.scans.crops.examples import CropPolicy, Example
from selfscan.scans.crops.reading import read_labels, read_volume
from selfscan.scans.crops.streams import Streams
from selfscan.scans.store import Store


class CropDataset(Dataset[Item]):
    """Examples as a map: item i is example number `first + i`, a pure function of (seed, number).

    Args:
        store: Where the scans are.
        policy: Which crops make an example.
        seed: Another seed gives other examples.
        length: The number of examples.
        first: The number of the first one.
        with_labels: Read label maps too; every scan must have them.

    Raises:
        SelfscanError: The policy cannot draw from this store, or labels are missing.
    """

    def __init__(
        self,
        store: Store,
        policy: CropPolicy,
        *,
        seed: int,
        length: int,
        first: int = 0,
        with_labels: bool = False,
    ) -> None:
        if seed < 0 or length < 1 or first < 0:
            raise ValueError(
                f"seed and first must not be negative and length must be at least 1, "
                f"got {seed}, {first} and {length}"
            )
        if with_labels and not store.labelled.all():
            raise SelfscanError(
                f"{store.path}: found {(~store.labelled).sum()} of {len(store)} scans without "
                "labels; expected labels for all; choose the labelled ones"
            )
        policy.check(store)
        self.store, self.policy, self.seed = store, policy, seed
        self.length, self.first, self.with_labels = length, first, with_labels
        self._streams = Streams(seed)

    def __len__(self) -> int:
        return self.length

    def example(self, i: int) -> Example:
        """Which crops item i holds, drawn as by `default_rng([seed, number])`."""
        if not 0 <= i < self.length:
            raise IndexError(f"example {i} of {self.length}")
        return self.policy.draw(self.store, self._streams.generator(self.first + i))

    def __getitem__(self, i: int) -> Item:
        example = self.example(i)
        crops = example.crops
        labels = [read_labels(self.store, crop) for crop in crops] if self.with_labels else None
        return Item(
            volumes=np.stack([read_volume(self.store, crop) for crop in crops]),
            hounsfield=self.store.hounsfield[[crop.scan for crop in crops]],
            number=self.first + i,
            example=example,
            labels=None if labels is None else np.stack(labels).astype(np.int64),
        )


def batches(
    dataset: CropDataset,
    *,
    batch_size: int,
    steps: int,
    first_step: int = 0,
    rank: int = 0,
    world_size: int = 1,
    workers: int = 0,
    pin_memory: bool = False,
) -> DataLoader[Batch]:
    """The batches of steps `first_step` to `steps - 1`, in order.

    The step s of all ranks together holds items s*B*W to (s+1)*B*W - 1, for B = `batch_size` and
    W = `world_size`; rank r takes every W-th of them, starting with the r-th.

    Args:
        dataset: At least steps*B*W items.
        batch_size: Examples a step on one rank.
        steps: The step to end before.
        first_step: The step to start with, as after a restart.
        rank: This process's number among `world_size`.
        world_size: How many processes train together.
        workers: Processes that read ahead, of one thread each; 0 reads in this one.
        pin_memory: Copy batches to page-locked memory.

    Raises:
        ValueError: Numbers out of range, or a data set that ends before the last step.
    """
    if batch_size < 1 or not 0 <= first_step <= steps or workers < 0:
        raise ValueError(
            "expected a batch_size of 1 or more, 0 <= first_step <= steps and no negative workers, "
            f"got {batch_size}, {first_step}, {steps} and {workers}"
        )
    if not 0 <= rank < world_size:
        raise ValueError(f"rank must be within 0 to {world_size - 1}, got {rank}")
    if len(dataset) < steps * batch_size * world_size:
        raise ValueError(
            f"{steps} steps of {batch_size} x {world_size} examples need "
            f"{steps * batch_size * world_size} items, the data set has {len(dataset)}"
        )
    return _Loader(
        _Guarded(dataset),
        batch_sampler=_Steps(batch_size, first_step, steps, rank, world_size),
        collate_fn=_collate_guarded,
        num_workers=workers,
        worker_init_fn=_one_thread,
        pin_memory=pin_memory,
    )


@dataclass(frozen=True)
class _Steps:
    """The item numbers of one rank, a list a step."""

    batch_size: int
    first: int
    past: int
    rank: int
    world_size: int

    def __len__(self) -> int:
        return self.past - self.first

    def __iter__(self) -> Iterator[list[int]]:
        width = self.batch_size * self.world_size
        for step in range(self.first, self.past):
            yield list(range(step * width + self.rank, (step + 1) * width, self.world_size))


class _Guarded(Dataset[Item | SelfscanError]):
    """Hands a damaged scan over as an item: raised in a worker it would lose its type and name."""

    def __init__(self, dataset: CropDataset) -> None:
        self.dataset = dataset

    def __getitem__(self, i: int) -> Item | SelfscanError:
        try:
            return self.dataset[i]
        except SelfscanError as error:
            return error


def _collate_guarded(items: Sequence[Item | SelfscanError]) -> Batch | SelfscanError:
    failed = next((item for item in items if isinstance(item, SelfscanError)), None)
    return failed or collate([item for item in items if isinstance(item, Item)])


class _Loader(DataLoader[Any]):
    """Raises what a worker handed over."""

    def __iter__(self) -> Any:
        for batch in super().__iter__():
            if isinstance(batch, SelfscanError):
                raise batch
            yield batch


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)
    blosc2.set_nthreads(1)
