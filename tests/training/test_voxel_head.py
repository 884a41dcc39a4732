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
from selfscan.networks.backbone import Pyramid
from selfscan.networks.pyramid_heads import single_voxels
from selfscan.networks.voxels import voxel_features
from selfscan.training.voxel_head import VoxelHead, fit_linear, fit_nonlinear

PYRAMID = Pyramid((4, 2), ((1, 1, 1), (2, 2, 4)))


def blobs(count: int = 300, classes: int = 3) -> tuple[Tensor, np.ndarray]:
    """Features of overlapping classes on very different scales."""
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % classes
    centers = torch.randn(classes, 6, generator=random)
    features = centers[labels] + 0.6 * torch.randn(count, 6, generator=random)
    return features * torch.tensor([1.0, 1e3, 1e-3, 1, 1, 1]) + 5, labels.numpy()


def logits(head: VoxelHead, features: Tensor) -> Tensor:
    """What the head gives for embeddings (N, F), (N, K)."""
    return head(single_voxels(features, PYRAMID)).flatten(1)


@cache
def heads() -> tuple[VoxelHead, VoxelHead]:
    """One head of each kind."""
    features, classes = blobs()
    return fit_linear(features, classes, PYRAMID, count=3, penalty=1.0, iterations=500), trained()


def trained() -> VoxelHead:
    """A non-linear head."""
    features, classes = blobs()
    return fit_nonlinear(
        features,
        classes,
        PYRAMID,
        count=3,
        steps=100,
        batch_size=64,
        learning_rate=1e-2,
        weight_decay=0.0,
        seed=0,
    )


@pytest.mark.parametrize("kind", [0, 1])
def test_heads_learn(kind: int) -> None:
    features, classes = blobs()
    found = logits(heads()[kind], features).argmax(1).numpy()
    assert (found == classes).mean() > 0.85


def test_the_linear_head_is_at_the_minimum() -> None:
    features, classes = blobs()
    head = deepcopy(heads()[0]).double()
    loss = functional.cross_entropy(
        logits(head, features.double()), torch.from_numpy(classes), reduction="sum"
    )
    weights = [layer.weight for layer in head.head.layers]
    loss = loss + 1.0 * sum(weight.square().sum() for weight in weights)
    loss.backward()
    assert all(weight.grad.abs().max() < 0.05 for weight in weights)
    assert head.head.layers[0].bias.grad.abs().max() < 0.05


def test_two_classes() -> None:
    features, classes = blobs(classes=2)
    head = fit_linear(features, classes, PYRAMID, count=2, penalty=1.0, iterations=500)
    assert (logits(head, features).argmax(1).numpy() == classes).mean() > 0.85


def test_a_class_without_a_voxel_is_never_predicted() -> None:
    features, classes = blobs(classes=2)
    head = fit_linear(features, classes * 2, PYRAMID, count=4, penalty=1.0, iterations=500)
    assert set(logits(head, features).argmax(1).tolist()) == {0, 2}


@pytest.mark.parametrize("kind", [0, 1])
def test_a_map_equals_voxels_one_by_one(kind: int) -> None:
    head = heads()[kind]
    random = torch.Generator().manual_seed(1)
    levels = [
        5 + torch.randn(2, width, *size, generator=random)
        for width, size in zip(PYRAMID.channels, ((7, 4, 4), (4, 2, 1)), strict=True)
    ]
    examples, *places = torch.meshgrid(*map(torch.arange, (2, 7, 4, 4)), indexing="ij")
    positions = torch.stack([place.flatten() for place in places], dim=1)
    features = voxel_features(levels, PYRAMID.strides, examples.flatten(), positions)
    with torch.no_grad():
        found = head(levels).movedim(1, -1).reshape(-1, 3)
        torch.testing.assert_close(found, logits(head, features), atol=1e-3, rtol=1e-3)


def test_the_nonlinear_head_depends_on_the_seed_alone() -> None:
    first = trained().state_dict()
    torch.rand(7)
    second = trained().state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.filterwarnings("ignore:lbfgs failed")
def test_too_few_iterations_are_an_error() -> None:
    features, classes = blobs()
    with pytest.raises(SelfscanError, match="not solved after 2 iterations"):
        fit_linear(features, classes, PYRAMID, count=3, penalty=1e-6, iterations=2)
