"""Heads on voxel features: solved, trained, and applied to whole maps."""

from __future__ import annotations

from copy import deepcopy
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from selfscan.errors import SelfscanError
from selfscan.training.voxel_head import VoxelHead, fit_linear, fit_nonlinear


def blobs(count: int = 300, classes: int = 3) -> tuple[Tensor, np.ndarray]:
    """Features of overlapping classes on very different scales."""
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % classes
    centers = torch.randn(classes, 6, generator=random)
    features = centers[labels] + 0.6 * torch.randn(count, 6, generator=random)
    return features * torch.tensor([1.0, 1e3, 1e-3, 1, 1, 1]) + 5, labels.numpy()


@cache
def heads() -> tuple[VoxelHead, VoxelHead]:
    """One head of each kind."""
    features, classes = blobs()
    return fit_linear(features, classes, count=3, penalty=1.0, iterations=500), trained()


def trained() -> VoxelHead:
    """A non-linear head."""
    features, classes = blobs()
    return fit_nonlinear(
        features,
        classes,
        count=3,
        hidden=16,
        steps=100,
        batch_size=64,
        learning_rate=1e-2,
        weight_decay=0.0,
        seed=0,
    )


@pytest.mark.parametrize("kind", [0, 1])
def test_heads_learn(kind: int) -> None:
    features, classes = blobs()
    found = heads()[kind](features).argmax(1).numpy()
    assert (found == classes).mean() > 0.85


def test_the_linear_head_is_at_the_minimum() -> None:
    features, classes = blobs()
    head = deepcopy(heads()[0]).double()
    loss = functional.cross_entropy(
        head(features.double()), torch.from_numpy(classes), reduction="sum"
    )
    loss = loss + 1.0 * head.first.weight.square().sum()
    loss.backward()
    assert head.first.weight.grad.abs().max() < 0.05
    assert head.first.bias.grad.abs().max() < 0.05


def test_two_classes() -> None:
    features, classes = blobs(classes=2)
    head = fit_linear(features, classes, count=2, penalty=1.0, iterations=500)
    assert (head(features).argmax(1).numpy() == classes).mean() > 0.85


def test_a_class_without_a_voxel_is_never_predicted() -> None:
    features, classes = blobs(classes=2)
    head = fit_linear(features, classes * 2, count=4, penalty=1.0, iterations=500)
    assert set(head(features).argmax(1).tolist()) == {0, 2}


@pytest.mark.parametrize("kind", [0, 1])
def test_a_map_equals_voxels_one_by_one(kind: int) -> None:
    head = heads()[kind]
    random = torch.Generator().manual_seed(1)
    fine = torch.randn(2, 4, 7, 4, 4, generator=random)
    coarse = torch.randn(2, 2, 4, 2, 1, generator=random)
    repeated = (
        coarse.repeat_interleave(2, 2).repeat_interleave(2, 3).repeat_interleave(4, 4)[:, :, :7]
    )
    features = torch.cat([fine, repeated], dim=1).movedim(1, -1).reshape(-1, 6)
    expected = head(features).view(2, 7, 4, 4, 3).movedim(-1, 1)
    found = head.dense([fine, coarse], [(1, 1, 1), (2, 2, 4)], torch.Size((7, 4, 4)))
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)


def test_the_nonlinear_head_depends_on_the_seed_alone() -> None:
    first = trained().state_dict()
    torch.rand(7)
    second = trained().state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.filterwarnings("ignore:lbfgs failed")
def test_too_few_iterations_are_an_error() -> None:
    features, classes = blobs()
    with pytest.raises(SelfscanError, match="not solved after 2 iterations"):
        fit_linear(features, classes, count=3, penalty=1e-6, iterations=2)
