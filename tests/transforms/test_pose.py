"""Random poses of whole volumes."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import avg_pool3d

from selfscan.spatial_transformer import warp
from selfscan.transforms.pose import PoseConfig, apply_poses, draw_poses
from selfscan.transforms.random import KeyedGenerator

STILL = PoseConfig(rotation_degrees=0, scaling=0, shear_degrees=0, shift=0, elastic_amplitude=0)
VOLUMES = torch.rand(3, 2, 16, 8, 12, generator=torch.Generator().manual_seed(0))


def random(examples: int = 3) -> KeyedGenerator:
    return KeyedGenerator.for_examples(1, torch.arange(examples))


def test_a_pose_that_may_not_go_anywhere_changes_nothing() -> None:
    posed = apply_poses(VOLUMES, draw_poses(random(), STILL))
    torch.testing.assert_close(posed, VOLUMES, rtol=0, atol=1e-5)


def test_each_example_has_a_pose_of_its_own_and_all_channels_the_same() -> None:
    parameters = draw_poses(random(), PoseConfig())
    alike = VOLUMES[:1, :1].expand(3, 2, -1, -1, -1)
    posed = apply_poses(alike, parameters)
    assert torch.equal(posed[:, 0], posed[:, 1])
    assert not torch.allclose(posed[0], posed[1], atol=0.05)
    alone = draw_poses(KeyedGenerator.for_examples(1, torch.tensor([2])), PoseConfig())
    torch.testing.assert_close(apply_poses(alike[2:], alone), posed[2:])


def test_a_shift_is_a_share_of_half_an_axis() -> None:
    drawn = draw_poses(random(1000), PoseConfig(shift=0.25))
    shifts = drawn.matrices[:, :, 3]
    assert -0.25 <= shifts.min() < -0.24
    assert 0.24 < shifts.max() <= 0.25


def test_matrices_keep_to_the_published_ranges() -> None:
    config = PoseConfig(rotation_degrees=0, shear_degrees=0)
    diagonal = draw_poses(random(1000), config).matrices[:, :, :3].diagonal(dim1=1, dim2=2)
    assert 0.75 <= diagonal.min() < 0.76
    assert 1.24 < diagonal.max() <= 1.25
    turned = draw_poses(random(1000), PoseConfig(scaling=0, shear_degrees=0)).matrices[:, :, :3]
    torch.testing.assert_close(
        turned @ turned.mT, torch.eye(3).expand(1000, 3, 3), atol=1e-5, rtol=0
    )
    # The angle about z is what turns x in the plane of x and y.
    angles = torch.rad2deg(torch.atan2(turned[:, 1, 0], turned[:, 0, 0]))
    assert 19 < angles.abs().max() <= 20 + 1e-3


def test_the_release_reads_half_a_voxel_off_along_even_axes() -> None:
    posed = apply_poses(VOLUMES, draw_poses(random(), STILL), centered=False)
    between = avg_pool3d(VOLUMES, kernel_size=2, stride=1)
    torch.testing.assert_close(posed[..., :-1, :-1, :-1], between, rtol=0, atol=1e-5)


def test_the_release_interpolates_twice_and_stretches() -> None:
    parameters = draw_poses(random(), STILL)
    nothing = torch.zeros(3, 3, *VOLUMES.shape[2:])
    posed = apply_poses(VOLUMES, parameters, at_once=False, consistent=False)
    released = warp(VOLUMES, parameters.matrices, nothing, at_once=False, consistent=False)
    torch.testing.assert_close(posed, released)
    assert (posed - VOLUMES).abs().max() > 0.1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rotation_degrees": 180.0}, r"rotation_degrees must lie in \[0, 180\), got 180"),
        ({"scaling": 1.0}, r"scaling must lie in \[0, 1\), got 1"),
        ({"shear_degrees": -1.0}, r"shear_degrees must lie in \[0, 45\), got -1"),
        ({"shift": -0.1}, "shift must not be negative, got -0.1"),
        ({"elastic_sigma": (13.0, 10.0)}, "elastic_sigma must be positive and rise"),
    ],
)
def test_values_without_a_meaning_are_refused(arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        PoseConfig(**arguments)
