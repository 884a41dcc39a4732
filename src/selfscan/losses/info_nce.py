"""InfoNCE: pull the two views of a sample together, push all other samples of the batch apart."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def info_nce(
    first: Tensor, second: Tensor, *, temperature: float = 0.1, block_rows: int | None = None
) -> Tensor:
    """Contrast two views of N samples; each anchor has 2N - 2 negatives, from both views.

    With z the rows of both views and s_ij = <z_i, z_j> / temperature, the loss is the mean over all
    2N anchors i of log(sum_{j != i} exp s_ij) - s_{i,i'}, where i' is the other view of i's sample.
    A network that gives one vector for everything has a loss of log(2N - 1).

    Source: van den Oord et al., 2018, arXiv 1807.03748, in the symmetric form of SimCLR (Chen et
    al., 2020) that vox2vec (Goncharov et al., MICCAI 2023) and Swin UNETR pre-training (Tang et
    al., CVPR 2022) use.

    Args:
        first: Embeddings of the first view, rows of unit length, shape (N, D).
        second: Embeddings of the second view, shape (N, D); row n is of the same sample.
        temperature: What similarities are divided by.
        block_rows: Rows of the similarity matrix to hold at once. None holds all 2N; fewer need
            less memory and compute the matrix a second time in the backward pass. The value and
            the gradient are the same but for rounding.

    Returns:
        The loss, a scalar of float32 or more, also under autocast.

    Raises:
        ValueError: The shapes differ or hold no sample, or a number is out of range.
    """
    if first.shape != second.shape or first.ndim != 2 or not len(first):
        raise ValueError(
            "expected two views of at least one sample, both of shape (N, D), "
            f"got {tuple(first.shape)} and {tuple(second.shape)}"
        )
    if temperature <= 0:
        raise ValueError(f"temperature must be positive, got {temperature}")
    if block_rows is not None and block_rows < 1:
        raise ValueError(f"block_rows must be at least 1, or None, got {block_rows}")
    with torch.autocast(first.device.type, enabled=False):
        views = torch.cat([first, second])
        views = views.to(torch.promote_types(views.dtype, torch.float32))
        if block_rows is None:
            normalizers = _similarities(views, slice(None), temperature).logsumexp(dim=1)
        else:
            normalizers = _in_blocks(views, temperature, block_rows)
        positives = (views * views.roll(len(first), dims=0)).sum(dim=1) / temperature
        return (normalizers - positives).mean()


def _in_blocks(views: Tensor, temperature: float, block_rows: int) -> Tensor:
    normalizers: Tensor = _Normalizers.apply(views, temperature, block_rows)  # type: ignore[no-untyped-call]
    return normalizers


class _Normalizers(torch.autograd.Function):
    """log sum_{j != i} exp s_ij of each row i, from blocks of rows that are not kept."""

    @staticmethod
    def forward(ctx: Any, views: Tensor, temperature: float, block_rows: int) -> Tensor:
        blocks = _blocks(len(views), block_rows)
        normalizers = torch.cat(
            [_similarities(views, rows, temperature).logsumexp(dim=1) for rows in blocks]
        )
        ctx.save_for_backward(views, normalizers)
        ctx.temperature, ctx.block_rows = temperature, block_rows
        return normalizers

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """Each similarity pulls on both of its rows: with the weight of one softmax, and the other.

        The matrix is symmetric, so one block holds both: exp(s_ij - n_i) and exp(s_ij - n_j).
        """
        (of_rows,) = gradients
        views, normalizers = ctx.saved_tensors
        pulled = torch.empty_like(views)
        for rows in _blocks(len(views), ctx.block_rows):
            similarities = _similarities(views, rows, ctx.temperature)
            weights = (similarities - normalizers[rows, None]).exp_().mul_(of_rows[rows, None])
            weights += similarities.sub_(normalizers).exp_().mul_(of_rows)
            pulled[rows] = weights @ views
        return pulled / ctx.temperature, None, None


def _similarities(views: Tensor, rows: slice, temperature: float) -> Tensor:
    """s_ij of some rows i and all j; minus infinity where i = j."""
    similarities = views[rows] @ views.T / temperature
    numbers = torch.arange(len(views), device=views.device)
    itself = numbers[rows, None] == numbers
    return similarities.masked_fill(itself, -torch.inf)


def _blocks(count: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]
