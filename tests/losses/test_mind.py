"""MIND-SSC against the release's value, a slow version by voxels, and its invariants."""

from __future__ import annotations

from itertools import product

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from selfscan.losses.mind import mind, self_similarity

Array = npt.NDArray[np.float64]


def waves() -> tuple[Tensor, Tensor]:
    counts = [torch.arange(edge, dtype=torch.float64) for edge in (24, 20, 28)]
    z, y, x = torch.meshgrid(*counts, indexing="ij")
    first = 0.5 + 0.5 * (0.3 * z + 0.2 * y + 0.1 * x).sin()
    second = 0.5 + 0.5 * (0.25 * z - 0.15 * y + 0.2 * x).cos()
    return first[None, None], second[None, None]


def noise(*shape: int) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    first, second = torch.rand(2, *shape, generator=random, dtype=torch.float64)
    return first, second


def slow_self_similarity(volume: Array, radius: int, dilation: int) -> Array:
    """The descriptor from its definition: sorted, as the order of neighbors is free."""
    faces = [np.array(face) for face in product((-1, 0, 1), repeat=3) if np.abs(face).sum() == 1]
    pairs = [
        (one, other)
        for number, one in enumerate(faces)
        for other in faces[:number]
        if np.square(one - other).sum() == 2
    ]

    def at(place: Array) -> float:
        return float(volume[tuple(place.clip(0, np.array(volume.shape) - 1))])

    edge = range(-radius, radius + 1)
    distances = np.empty((len(pairs), *volume.shape))
    for voxel in np.ndindex(volume.shape):
        patch = [
            np.clip(np.add(voxel, step), 0, np.array(volume.shape) - 1)
            for step in product(edge, repeat=3)
        ]
        for number, (one, other) in enumerate(pairs):
            squares = [
                (at(place + dilation * one) - at(place + dilation * other)) ** 2 for place in patch
            ]
            distances[(number, *voxel)] = np.mean(squares)
    excess = distances - distances.min(axis=0)
    spread = excess.mean(axis=0)
    spread = spread.clip(spread.mean() * 0.001, spread.mean() * 1000)
    return np.sort(np.exp(-excess / spread), axis=0)


def test_value_of_the_release() -> None:
    first, second = (volume.float() for volume in waves())
    assert mind(first, second).item() == pytest.approx(0.352520, abs=1e-6)


@pytest.mark.parametrize(("radius", "dilation"), [(0, 1), (1, 2), (1, 1)])
def test_it_follows_the_definition(radius: int, dilation: int) -> None:
    volume, _ = noise(1, 1, 2, 4, 3)
    volume[..., 1, 1:, :] = 0.5
    found = self_similarity(volume, radius, dilation)
    expected = slow_self_similarity(volume[0, 0].numpy(), radius, dilation)
    assert found.shape == (1, 12, 2, 4, 3)
    np.testing.assert_allclose(np.sort(found[0].numpy(), axis=0), expected, atol=1e-12)


def test_contrast_plays_no_part() -> None:
    first, second = waves()
    assert mind(first, 0.2 - 3 * first).item() == pytest.approx(0, abs=1e-12)
    torch.testing.assert_close(mind(2 * first + 1, second), mind(first, second))


def test_the_order_of_axes_and_of_volumes_plays_no_part() -> None:
    first, second = waves()
    turned = (volume.permute(0, 1, 4, 2, 3) for volume in (second, first))
    torch.testing.assert_close(mind(*turned), mind(first, second))


def test_a_volume_of_the_batch_or_a_channel_counts_by_itself() -> None:
    first, second = noise(2, 2, 6, 5, 7)
    first[1] *= 100
    parts = [
        mind(first[b : b + 1, c : c + 1], second[b : b + 1, c : c + 1])
        for b, c in product(range(2), range(2))
    ]
    torch.testing.assert_close(mind(first, second), torch.stack(parts).mean())


def test_gradients_pull_towards_the_other_volume() -> None:
    moving, fixed = noise(1, 1, 6, 6, 6)
    moving.requires_grad_()
    loss = mind(moving, fixed, radius=1)
    (slope,) = torch.autograd.grad(loss, moving)
    assert (slope != 0).all()
    assert mind(moving - 0.1 * slope / slope.norm(), fixed, radius=1) < loss


def test_a_volume_of_one_value_has_a_loss_and_a_gradient() -> None:
    flat = torch.full((1, 1, 8, 8, 8), 0.5, requires_grad=True)
    loss = mind(flat, torch.rand(flat.shape, generator=torch.Generator().manual_seed(0)))
    loss.backward()
    assert flat.grad is not None
    assert loss.isfinite()
    assert flat.grad.isfinite().all()


def test_halves_are_compared_in_float32() -> None:
    first, second = (volume.bfloat16() for volume in waves())
    loss = mind(first, second)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(0.352520, abs=5e-3)


def test_arguments_without_a_meaning_are_refused() -> None:
    volume = torch.zeros(1, 1, 4, 4, 4)
    with pytest.raises(ValueError, match=r"got \(1, 1, 4, 4, 4\) and \(1, 1, 4, 4, 3\)"):
        mind(volume, volume[..., :-1])
    with pytest.raises(ValueError, match="radius must not be negative, got -1"):
        mind(volume, volume, radius=-1)
    with pytest.raises(ValueError, match="dilation must be at least 1, got 0"):
        mind(volume, volume, dilation=0)
