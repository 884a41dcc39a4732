"""Smoothness against the specification's values, and its invariants."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from selfscan.losses.smoothness import Norm, smoothness


def grid() -> tuple[Tensor, ...]:
    counts = [torch.arange(edge, dtype=torch.float64) for edge in (6, 7, 8)]
    return torch.meshgrid(*counts, indexing="ij")


def stretch() -> Tensor:
    z, _, _ = grid()
    return torch.stack([0.5 * z, 0 * z, 0 * z])[None]


def bend() -> Tensor:
    z, y, x = grid()
    return torch.stack([0.5 * z - 0.25 * x, y, 2 * x + 0.1 * z.square()])[None]


@pytest.mark.parametrize(
    ("displacement", "norm", "expected"),
    [
        (stretch(), "l2", 0.0277778),
        (stretch(), "l1", 0.0555556),
        (bend(), "l2", 0.626944),
        (bend(), "l1", 0.472222),
    ],
)
def test_values_of_the_specification(displacement: Tensor, norm: Norm, expected: float) -> None:
    assert smoothness(displacement, norm=norm).item() == pytest.approx(expected, rel=2e-6)


def test_a_shift_of_everything_is_smooth() -> None:
    shift = torch.tensor([3.0, -1.0, 0.5]).view(1, 3, 1, 1, 1).expand(2, 3, 4, 5, 6)
    assert smoothness(shift).item() == 0
    torch.testing.assert_close(smoothness(bend() + shift[:1, :, :1, :1, :1]), smoothness(bend()))


def test_axes_count_alike_and_the_batch_is_averaged() -> None:
    turned = bend().permute(0, 1, 4, 2, 3)
    torch.testing.assert_close(smoothness(turned), smoothness(bend()))
    pair = smoothness(torch.cat([bend(), stretch()]))
    torch.testing.assert_close(pair, (smoothness(bend()) + smoothness(stretch())) / 2)


@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_gradients_agree_with_finite_differences(norm: Norm) -> None:
    random = torch.Generator().manual_seed(0)
    displacement = torch.randn(2, 3, 3, 2, 4, generator=random, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda given: smoothness(given, norm=norm), displacement.requires_grad_()
    )


def test_halves_are_added_up_in_float32() -> None:
    loss = smoothness(stretch().bfloat16())
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(0.0277778, rel=2e-6)


def test_arguments_without_a_meaning_are_refused() -> None:
    with pytest.raises(ValueError, match=r"2 voxels along each axis, got \(1, 3, 4, 1, 4\)"):
        smoothness(torch.zeros(1, 3, 4, 1, 4))
    with pytest.raises(ValueError, match=r"\(B, 3, X, Y, Z\).* got \(1, 2, 4, 4, 4\)"):
        smoothness(torch.zeros(1, 2, 4, 4, 4))
    with pytest.raises(ValueError, match="norm must be one of l2, l1, got 'l3'"):
        smoothness(torch.zeros(1, 3, 4, 4, 4), norm="l3")  # type: ignore[arg-type]
