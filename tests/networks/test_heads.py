"""Heads: shapes, ranges and precision."""

from __future__ import annotations

import pytest
import torch

from selfscan.networks.heads import ProjectionHead, RestorationHead


def test_a_restored_volume_is_the_sigmoid_of_a_weighted_sum() -> None:
    head = RestorationHead(2)
    head.convolution.weight.data = torch.tensor([1.0, -2.0]).view(1, 2, 1, 1, 1)
    head.convolution.bias.data.fill_(0.5)  # type: ignore[union-attr]
    features = torch.tensor([3.0, 1.0]).view(1, 2, 1, 1, 1)
    assert head(features).item() == pytest.approx(1 / (1 + 2.718281828 ** -(3 - 2 + 0.5)), abs=1e-6)


def test_the_sigmoid_keeps_float32_under_mixed_precision() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        restored = RestorationHead(4, channels=2)(torch.rand(3, 4, 2, 2, 2))
    assert restored.dtype == torch.float32
    assert restored.shape == (3, 2, 2, 2, 2)


def test_projections_are_unit_vectors_in_float32() -> None:
    torch.manual_seed(0)
    head = ProjectionHead(6, projected=3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        vectors = head(torch.randn(5, 6).bfloat16())
    assert vectors.dtype == torch.float32
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(5))


def test_a_constant_embedding_projects_to_one_vector() -> None:
    torch.manual_seed(0)
    head = ProjectionHead(6, projected=3)
    vectors = head(torch.ones(4, 6))
    torch.testing.assert_close(vectors, vectors[:1].expand(4, 3))
