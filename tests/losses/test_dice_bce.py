"""The binary segmentation loss against values worked out with the release's formula."""

from __future__ import annotations

import pytest
import torch
from monai.losses import DiceLoss
from torch import Tensor
from torch.nn import functional

from selfscan.losses.dice_bce import dice_bce


def case() -> tuple[Tensor, Tensor, Tensor]:
    """Two volumes of two classes and 2 x 2 x 2 voxels; the specification's."""
    numbers = torch.arange(32, dtype=torch.float64).view(2, 2, 2, 2, 2)
    mask = torch.ones(2, 2, 2, 2, dtype=torch.bool)
    mask[0, 0] = False
    return 2 * numbers.sin(), (1.7 * numbers).cos() > 0, mask


def test_published_values() -> None:
    logits, targets, mask = case()
    dice, entropy = dice_bce(logits, targets, mask=mask)
    assert entropy.item() == pytest.approx(0.957111, abs=1e-6)
    assert dice.item() == pytest.approx((0.550584 + 0.456468) / 2, abs=1e-6)
    assert sum(dice_bce(logits, targets, mask=mask)).item() == pytest.approx(1.460636, abs=1e-6)
    assert sum(dice_bce(logits, targets)).item() == pytest.approx(1.498139, abs=1e-6)


def test_without_a_mask_it_is_what_monai_and_pytorch_give() -> None:
    logits, targets, _ = case()
    dice, entropy = dice_bce(logits, targets)
    reference = DiceLoss(sigmoid=True, squared_pred=True, smooth_nr=0, smooth_dr=1)
    torch.testing.assert_close(dice, reference(logits, targets.double()))
    expected = functional.binary_cross_entropy_with_logits(logits, targets.double())
    torch.testing.assert_close(entropy, expected)


def test_voxels_outside_the_mask_pull_on_nothing() -> None:
    logits, targets, mask = case()
    logits.requires_grad_()
    torch.autograd.backward(sum(dice_bce(logits, targets, mask=mask)))
    assert logits.grad is not None
    outside = ~mask[:, None].expand_as(logits)
    assert (logits.grad[outside] == 0).all()
    assert (logits.grad[~outside] != 0).all()


def test_bad_input_is_refused() -> None:
    logits, targets, mask = case()
    with pytest.raises(ValueError, match=r"expected logits and targets of one shape"):
        dice_bce(logits, targets[:, :1])
    with pytest.raises(ValueError, match=r"and a mask \(B, X, Y, Z\), got"):
        dice_bce(logits, targets, mask=mask[:1])
    with pytest.raises(ValueError, match="at least one voxel"):
        dice_bce(logits, targets, mask=torch.zeros_like(mask))
