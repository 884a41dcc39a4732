"""Rows of several processes: joined in order, with the gradients of one process."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed, multiprocessing
from torch.nn import functional

from selfscan.losses.gather import gather_rows, mean_over_processes
from selfscan.losses.info_nce import info_nce

COUNTS = (5, 3)


def samples() -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(4)
    first = torch.randn(sum(COUNTS), 6, generator=random, dtype=torch.float64)
    return first, first + 0.5 * torch.randn(first.shape, generator=random, dtype=torch.float64)


def weights() -> Tensor:
    random = torch.Generator().manual_seed(5)
    return torch.randn(4, 6, generator=random, dtype=torch.float64).requires_grad_()


def step(first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
    views = (functional.normalize(functional.linear(view, weight)) for view in (first, second))
    loss = info_nce(*map(gather_rows, views), temperature=0.2, block_rows=3)
    torch.autograd.backward(loss)
    return loss.detach()


def one_of_two(rank: int, folder: str) -> None:
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
    )
    torch.set_num_threads(1)
    weight = weights()
    mine = [view.split(COUNTS)[rank] for view in samples()]
    loss = step(*mine, weight)
    assert weight.grad is not None
    distributed.all_reduce(weight.grad)
    joined = gather_rows(mine[0])
    mean = mean_over_processes(torch.tensor(COUNTS[rank]))
    torch.save((loss, weight.grad / 2, joined, mean), f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_equal_one_with_the_joined_batch(tmp_path: Path) -> None:
    multiprocessing.spawn(one_of_two, args=(str(tmp_path),), nprocs=2)
    weight = weights()
    loss = step(*samples(), weight)
    for rank in range(2):
        found, gradient, joined, mean = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(found, loss)
        torch.testing.assert_close(gradient, weight.grad)
        assert torch.equal(joined, samples()[0])
        assert mean == sum(COUNTS) / 2


def test_one_process_keeps_what_it_has() -> None:
    rows = torch.ones(2, 3)
    assert gather_rows(rows) is rows
    assert mean_over_processes(rows) is rows
