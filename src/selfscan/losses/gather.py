"""What losses need of all processes: their rows to compare with, and means of their counts."""

from __future__ import annotations

import torch
from torch import Tensor, distributed
from torch.distributed.nn.functional import all_gather


def gather_rows(rows: Tensor) -> Tensor:
    """Join the rows of all processes, in the order of ranks; differentiable.

    Processes may hold different numbers of rows. Every process that computes the same loss of all
    rows gets, for its own, the gradients of all processes added up; after DDP has averaged the
    gradients of weights, they are those of one process with all samples.

    Args:
        rows: This process's rows, shape (N, D).

    Returns:
        Shape (sum of N, D); `rows` itself where there is one process.
    """
    if not distributed.is_initialized() or distributed.get_world_size() == 1:
        return rows
    own = torch.tensor([len(rows)], device=rows.device)
    counts = [torch.zeros_like(own) for _ in range(distributed.get_world_size())]
    distributed.all_gather(counts, own)
    lengths = [int(count) for count in counts]
    padded = torch.cat([rows, rows.new_zeros(max(lengths) - len(rows), rows.shape[1])])
    gathered = all_gather(padded)  # type: ignore[no-untyped-call]
    return torch.cat([part[:length] for part, length in zip(gathered, lengths, strict=True)])


def mean_over_processes(number: Tensor) -> Tensor:
    """The mean of what all processes hold; not differentiable.

    A sum of losses over own samples, divided by the mean number of samples, is averaged by DDP to
    the mean over the samples of all processes, however these are spread.

    Args:
        number: Of any shape, the same everywhere.

    Returns:
        The same shape, float32 or more; `number` itself where there is one process.
    """
    if not distributed.is_initialized() or distributed.get_world_size() == 1:
        return number
    total = number.detach().to(torch.promote_types(number.dtype, torch.float32), copy=True)
    distributed.all_reduce(total)
    return total / distributed.get_world_size()
