"""Augmentation: geometry moves labels with volumes, intensities stay in range, draws are keyed."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor

from selfscan.transforms.augmentation import (
    AugmentationConfig,
    AugmentationParameters,
    apply_augmentation,
    draw_augmentation,
)
from selfscan.transforms.random import KeyedGenerator

SHAPE = (2, 12, 16, 10)
NOTHING = AugmentationConfig(
    affine_probability=0,
    noise_probability=0,
    blur_probability=0,
    brightness_probability=0,
    gamma_probability=0,
)
EVERYTHING = AugmentationConfig(
    affine_probability=1,
    mirror_axes=("x", "y", "z"),
    noise_probability=1,
    blur_probability=1,
    brightness_probability=1,
    gamma_probability=1,
)


def random_for(*examples: int) -> KeyedGenerator:
    """The streams of these examples."""
    return KeyedGenerator.for_examples(7, torch.tensor(examples))


def crops(count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Volumes, labels and spacings of a batch."""
    generator = torch.Generator().manual_seed(0)
    return (
        torch.rand(count, *SHAPE, generator=generator),
        torch.randint(0, 5, (count, *SHAPE[1:]), generator=generator),
        torch.tensor([[1.0, 1.0, 2.0]]).expand(count, 3),
    )


def with_matrix(matrix: Tensor) -> AugmentationParameters:
    """Nothing but this map, (3, 3), for a batch of one."""
    drawn = draw_augmentation(random_for(0), SHAPE, NOTHING)
    return replace(drawn, matrix=matrix[None], moved=torch.tensor([True]))


def test_nothing_drawn_changes_nothing() -> None:
    volumes, labels, spacing = crops(3)
    drawn = draw_augmentation(random_for(0, 1, 2), SHAPE, NOTHING)
    changed, carried = apply_augmentation(volumes, labels, spacing, drawn)
    assert torch.equal(changed, volumes)
    assert torch.equal(carried, labels)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_mirroring_is_a_flip(axis: int) -> None:
    volumes, labels, spacing = crops(1)
    sides = torch.ones(3)
    sides[axis] = -1
    changed, carried = apply_augmentation(volumes, labels, spacing, with_matrix(sides.diag()))
    torch.testing.assert_close(changed, volumes.flip(axis + 2))
    assert torch.equal(carried, labels.flip(axis + 1))


def test_quarter_turn_about_z_by_hand() -> None:
    volumes = torch.rand(1, 1, 8, 8, 4)
    labels = (volumes[:, 0] > 0.5).long()
    turn = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    drawn = with_matrix(turn)
    drawn = replace(drawn, noise=torch.zeros(1, 1, 1, 1, 1), brightness=torch.zeros(1, 1))
    drawn = replace(drawn, contrast=torch.ones(1, 1), gamma=torch.ones(1, 1))
    changed, carried = apply_augmentation(volumes, labels, torch.ones(1, 3), drawn)
    # Result at (i, j) comes from the crop at (-j, i) from the center.
    expected = volumes.flip(2).transpose(2, 3)
    torch.testing.assert_close(changed, expected, atol=1e-5, rtol=0)
    assert torch.equal(carried, labels.flip(1).transpose(1, 2))


def test_rotation_keeps_distances_in_mm() -> None:
    # 8 mm along x are 8 voxels; turned onto z, with voxels of 2 mm, they are 4.
    labels = torch.zeros(1, 17, 17, 17, dtype=torch.long)
    labels[0, 4:13, 8, 8] = 1
    turn = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    drawn = draw_augmentation(random_for(0), (1, 17, 17, 17), NOTHING)
    drawn = replace(drawn, matrix=turn[None], moved=torch.tensor([True]))
    spacing = torch.tensor([[1.0, 1.0, 2.0]])
    _, carried = apply_augmentation(labels[:, None].float(), labels, spacing, drawn)
    assert carried[0, 8, 8].nonzero()[:, 0].tolist() == [6, 7, 8, 9, 10]


def test_matrices_are_rotations_times_sizes() -> None:
    config = replace(NOTHING, affine_probability=1, scaling=1.3, stretching=1.0)
    matrix = draw_augmentation(random_for(*range(500)), SHAPE, config).matrix
    sizes = matrix.norm(dim=1)
    torch.testing.assert_close(sizes, sizes[:, :1].expand(-1, 3))
    assert sizes.min() > 1 / 1.3 - 1e-5
    assert sizes.max() < 1.3 + 1e-5
    rotation = matrix / sizes[:, :1, None]
    torch.testing.assert_close(
        rotation @ rotation.mT, torch.eye(3).expand(500, 3, 3), atol=1e-5, rtol=0
    )
    assert torch.linalg.det(matrix).min() > 0
    # One axis turns by at most 15 degrees, three together by at most 45.
    angle = torch.acos(((rotation.diagonal(dim1=1, dim2=2).sum(1) - 1) / 2).clamp(-1, 1))
    assert math.radians(10) < angle.max() < math.radians(45)


def test_labels_stay_labels_and_intensities_in_range() -> None:
    volumes, labels, spacing = crops(4)
    drawn = draw_augmentation(random_for(*range(4)), SHAPE, EVERYTHING)
    changed, carried = apply_augmentation(volumes, labels, spacing, drawn)
    assert changed.shape == volumes.shape
    assert carried.dtype == labels.dtype
    assert set(carried.unique().tolist()) <= set(range(5))
    assert changed.isfinite().all()
    assert changed.min() >= 0
    assert changed.max() <= 1


def test_an_example_gets_the_same_change_in_any_batch() -> None:
    volumes, labels, spacing = crops(3)
    together = draw_augmentation(random_for(5, 3, 9), SHAPE, EVERYTHING)
    alone = draw_augmentation(random_for(3), SHAPE, EVERYTHING)
    for field in fields(AugmentationParameters):
        assert torch.equal(getattr(together, field.name)[1:2], getattr(alone, field.name))
    in_batch, _ = apply_augmentation(volumes, labels, spacing, together)
    by_itself, _ = apply_augmentation(volumes[1:2], labels[1:2], spacing[1:2], alone)
    torch.testing.assert_close(in_batch[1:2], by_itself)


def test_blur_keeps_a_constant_and_spreads_a_point() -> None:
    drawn = draw_augmentation(random_for(0, 1), (1, 9, 9, 9), NOTHING)
    drawn = replace(drawn, blur=torch.tensor([1.0, 0.0]))
    volumes = torch.zeros(2, 1, 9, 9, 9)
    volumes[:, :, 4, 4, 4] = 1.0
    labels = torch.zeros(2, 9, 9, 9, dtype=torch.long)
    changed, _ = apply_augmentation(volumes, labels, torch.ones(2, 3), drawn)
    weights = torch.exp(-(torch.arange(-4.0, 5.0) ** 2) / 2)
    assert changed[0, 0, 4, 4, 4].item() == pytest.approx((weights[4] / weights.sum()).item() ** 3)
    assert changed[0].sum().item() == pytest.approx(1.0, abs=1e-5)
    assert torch.equal(changed[1], volumes[1])
    flat, _ = apply_augmentation(torch.full_like(volumes, 0.3), labels, torch.ones(2, 3), drawn)
    torch.testing.assert_close(flat, torch.full_like(volumes, 0.3))


def test_intensity_by_hand() -> None:
    drawn = draw_augmentation(random_for(0), (1, 2, 2, 2), NOTHING)
    volumes = torch.tensor([0.2, 0.6]).repeat(4).view(1, 1, 2, 2, 2)
    labels = torch.zeros(1, 2, 2, 2, dtype=torch.long)
    drawn = replace(
        drawn,
        contrast=torch.tensor([[1.5]]),
        brightness=torch.tensor([[0.1]]),
        gamma=torch.tensor([[2.0]]),
    )
    changed, _ = apply_augmentation(volumes, labels, torch.ones(1, 3), drawn)
    # (0.4 + 1.5 * (v - 0.4) + 0.1)^2
    torch.testing.assert_close(changed.view(-1)[:2], torch.tensor([0.2**2, 0.8**2]))


def test_how_often_changes_happen() -> None:
    drawn = draw_augmentation(random_for(*range(4000)), (1, 2, 2, 2), AugmentationConfig())
    assert drawn.moved.float().mean().item() == pytest.approx(0.5, abs=0.03)
    assert (drawn.gamma != 1).float().mean().item() == pytest.approx(0.3, abs=0.03)
    assert (drawn.blur > 0).float().mean().item() == pytest.approx(0.1, abs=0.02)
    assert (drawn.noise != 0).float().mean().item() == pytest.approx(0.15, abs=0.02)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"noise_probability": 1.5}, r"noise_probability must lie in \[0, 1\], got 1.5"),
        ({"scaling": 0.9}, "scaling is a factor of at least 1, got 0.9"),
        ({"blur": -1.0}, "blur must not be negative, got -1.0"),
        ({"rotation_degrees": 200.0}, r"rotation_degrees must lie in \[0, 180\], got 200"),
        ({"mirror_axes": ("w",)}, "mirror_axes must be among x, y and z"),
    ],
)
def test_bad_arguments(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AugmentationConfig(**arguments)  # type: ignore[arg-type]
