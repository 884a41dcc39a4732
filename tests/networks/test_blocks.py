"""The residual block: the formula, and what a zero last convolution leaves."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from selfscan.networks.blocks import ResidualBlock


@pytest.mark.parametrize("kernel_size", [1, 3])
def test_a_block_is_its_formula(kernel_size: int) -> None:
    torch.manual_seed(0)
    block = ResidualBlock(3, kernel_size=kernel_size).eval()
    features = torch.randn(2, 3, 5, 4, 1)
    norm, _, first, other_norm, _, second = block.layers
    inner = first(functional.relu(norm(features)))
    expected = features + second(functional.relu(other_norm(inner)))
    torch.testing.assert_close(block(features), expected)


def test_an_instance_norm_looks_at_each_volume_alone() -> None:
    block = ResidualBlock(2, norm="instance")
    features = torch.randn(2, 2, 4, 4, 4)
    torch.testing.assert_close(block(features)[:1], block(features[:1]))
