"""Streams of crops: processes share the examples of one, from any step on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from labelled_store import write_store
from torch import Tensor

from selfscan.scans.crops import Batch, ForegroundCrops
from selfscan.scans.store import Store
from selfscan.training.crop_streams import CropStreams

STEPS, ACCUMULATE, BATCH = 4, 2, 2


def streams(store: Store, *, rank: int, ranks: int, batch: int, workers: int = 0) -> CropStreams:
    fabric = SimpleNamespace(global_rank=rank, world_size=ranks, device=torch.device("cpu"))
    return CropStreams(
        store.select(splits=["train"]),
        store.select(splits=["test"]),
        ForegroundCrops((8, 8, 8)),
        batch_size=batch,
        steps=STEPS,
        accumulate=ACCUMULATE,
        seed=3,
        workers=workers,
        fabric=fabric,  # type: ignore[arg-type]
    )


def sorted_by_number(batches: list[Batch]) -> tuple[Tensor, Tensor]:
    numbers = torch.cat([batch.examples for batch in batches])
    order = numbers.argsort()
    return numbers[order], torch.cat([batch.volumes for batch in batches])[order]


@pytest.mark.parametrize("first_step", [0, 3])
@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_two_processes_see_what_one_sees_in_batches_of_twice_the_size(
    tmp_path: Path, first_step: int, workers: int
) -> None:
    store = Store(write_store(tmp_path / "store"))
    one = streams(store, rank=0, ranks=1, batch=2 * BATCH).training(first_step)
    ranks: list[Iterable[Batch]] = [
        streams(store, rank=rank, ranks=2, batch=BATCH, workers=workers).training(first_step)
        for rank in range(2)
    ]
    seen = 0
    for joined, *parts in zip(one, *ranks, strict=True):
        numbers, volumes = sorted_by_number(parts)
        assert torch.equal(numbers, joined.examples)
        assert torch.equal(volumes, joined.volumes)
        seen += 1
    assert seen == (STEPS - first_step) * ACCUMULATE
    assert torch.equal(numbers, torch.arange(STEPS * ACCUMULATE * 2 * BATCH)[-2 * BATCH :])


def test_every_process_validates_on_the_same_examples(tmp_path: Path) -> None:
    store = Store(write_store(tmp_path / "store"))
    first, second = (
        list(streams(store, rank=rank, ranks=2, batch=BATCH).validation(3)) for rank in range(2)
    )
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one.volumes, other.volumes)
    assert sum(map(len, first)) == 4
