"""InfoNCE against values worked out with the original formula, and its invariants."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from selfscan.losses.info_nce import info_nce

BLOCKS = (None, 1, 3, 1000)


def counted(rows: int, columns: int) -> Tensor:
    return torch.arange(rows * columns, dtype=torch.float64).reshape(rows, columns)


def case_b() -> tuple[Tensor, Tensor]:
    first = normalize(1 + counted(3, 4), dim=1)
    return first, first.flip(1)


def case_c() -> tuple[Tensor, Tensor]:
    numbers = counted(5, 8)
    return normalize((1 + numbers).sin(), dim=1), normalize((numbers / 2).cos(), dim=1)


def case_d() -> tuple[Tensor, Tensor]:
    numbers = counted(257, 16)
    first = normalize((0.7 * numbers).sin(), dim=1)
    return first, normalize(first + 0.25 * (1.3 * numbers).cos(), dim=1)


@pytest.mark.parametrize("block_rows", BLOCKS)
@pytest.mark.parametrize(
    ("views", "temperature", "expected"),
    [
        ((torch.eye(2).double(), torch.eye(2).double()), 0.1, 9.079574e-05),
        ((torch.eye(2).double(), torch.eye(2).double().flip(0)), 0.1, 10.000091),
        (case_b(), 0.1, 2.360397),
        (case_b(), 0.5, 1.727268),
        (case_b(), 1.0, 1.665715),
        (case_c(), 0.07, 8.817833),
        (case_c(), 0.1, 6.287621),
        (case_c(), 0.5, 2.271326),
        (case_c(), 1.0, 2.127802),
        (case_d(), 0.1, 4.999110),
    ],
)
def test_values_of_the_specification(
    views: tuple[Tensor, Tensor], temperature: float, expected: float, block_rows: int | None
) -> None:
    loss = info_nce(*views, temperature=temperature, block_rows=block_rows)
    assert loss.item() == pytest.approx(expected, rel=1e-6, abs=5e-7)


@pytest.mark.parametrize("block_rows", BLOCKS)
def test_gradients_of_the_specification(block_rows: int | None) -> None:
    first, second = (view.requires_grad_() for view in case_c())
    info_nce(first, second, block_rows=block_rows).backward()
    assert first.grad is not None
    assert second.grad is not None
    assert first.grad.norm().item() == pytest.approx(5.538568, abs=1e-6)
    assert second.grad.norm().item() == pytest.approx(6.034653, abs=1e-6)
    expected = [-0.026739, -0.299081, -0.902451, -1.105349, -0.439376, 0.801118, 1.751809, 1.705440]
    torch.testing.assert_close(
        first.grad[0], torch.tensor(expected, dtype=torch.float64), atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("block_rows", BLOCKS)
@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_gradients_agree_with_finite_differences(
    block_rows: int | None, temperature: float
) -> None:
    views = [view.requires_grad_() for view in case_b()]
    assert torch.autograd.gradcheck(
        lambda *given: info_nce(*given, temperature=temperature, block_rows=block_rows), views
    )


@pytest.mark.parametrize("second", [[[1.0, 0.0]], [[-1.0, 0.0]]])
def test_one_sample_has_nothing_to_be_told_from(second: list[list[float]]) -> None:
    assert info_nce(torch.tensor([[1.0, 0.0]]), torch.tensor(second)).item() == 0.0


@pytest.mark.parametrize(("count", "block_rows"), product((2, 5, 1024), (None, 100)))
def test_one_vector_for_everything_costs_the_log_of_its_rivals(
    count: int, block_rows: int | None
) -> None:
    same = torch.full((count, 4), 0.5)
    loss = info_nce(same, same, block_rows=block_rows).item()
    assert loss == pytest.approx(math.log(2 * count - 1), rel=1e-6)


def test_the_order_of_samples_and_of_views_plays_no_part() -> None:
    first, second = case_d()
    loss = info_nce(first, second)
    order = torch.randperm(len(first), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(info_nce(first[order], second[order]), loss)
    torch.testing.assert_close(info_nce(second, first), loss)


@pytest.mark.parametrize("block_rows", [None, 64])
def test_float32_is_kept_under_autocast(block_rows: int | None) -> None:
    first, second = (view.float() for view in case_d())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = info_nce(first, second, block_rows=block_rows)
        from_halves = info_nce(first.bfloat16(), second.bfloat16(), block_rows=block_rows)
    assert loss.dtype == from_halves.dtype == torch.float32
    assert loss.item() == pytest.approx(4.999110, rel=1e-5)


def test_arguments_without_a_meaning_are_refused() -> None:
    views = torch.eye(3), torch.eye(3)
    with pytest.raises(ValueError, match=r"at least one sample.* got \(0, 3\) and \(0, 3\)"):
        info_nce(torch.zeros(0, 3), torch.zeros(0, 3))
    with pytest.raises(ValueError, match=r"got \(3, 3\) and \(2, 3\)"):
        info_nce(torch.eye(3), torch.eye(3)[:2])
    with pytest.raises(ValueError, match="temperature must be positive, got 0"):
        info_nce(*views, temperature=0)
    with pytest.raises(ValueError, match="block_rows must be at least 1, or None, got 0"):
        info_nce(*views, block_rows=0)
