"""Where volumes are read: values worked out with the release of GVSL, and invariants."""

from __future__ import annotations

import pytest
import torch
from scipy.ndimage import map_coordinates
from torch import Tensor

from selfscan.spatial_transformer import (
    affine_matrices,
    affine_places,
    identity_places,
    rotations,
    sample,
    warp,
)

SIZE = (8, 8, 8)
MATRIX = torch.tensor(
    [
        [1.034619, -0.305856, -0.223185, 4],
        [0.287401, 0.837846, -0.164154, -6],
        [0.234561, 0.150368, 1.013861, 8],
    ],
    dtype=torch.float64,
)


def cubes(*size: int) -> Tensor:
    """x + 10 y + 100 z at each voxel, (1, 1, X, Y, Z)."""
    x, y, z = torch.meshgrid(*(torch.arange(n).double() for n in size), indexing="ij")
    return (x + 10 * y + 100 * z)[None, None]


def shifted(x: float, y: float, z: float) -> Tensor:
    """The identity with a translation by so many half sides, shape (1, 3, 4)."""
    return torch.cat([torch.eye(3), torch.tensor([[x], [y], [z]])], dim=1).double()[None]


def published(size: tuple[int, int, int]) -> Tensor:
    """The matrix of the specification, its translation given per voxel of a side."""
    return torch.cat([MATRIX[:, :3], MATRIX[:, 3:] / torch.tensor(size)[:, None]], dim=1)[None]


def test_the_identity_reads_each_voxel() -> None:
    volume = cubes(4, 6, 5)
    identity = identity_places((4, 6, 5), like=volume)
    assert identity[0, :, 3, 1, 2].tolist() == [3, 1, 2]
    torch.testing.assert_close(sample(volume, identity), volume, rtol=0, atol=1e-10)
    even = cubes(*SIZE)
    assert torch.equal(sample(even, identity_places(SIZE, like=even)), even)
    mapped = affine_places(shifted(0, 0, 0), identity, (4, 6, 5))
    torch.testing.assert_close(mapped, identity, rtol=0, atol=1e-14)


def test_values_between_voxels_and_outside() -> None:
    volume = cubes(4, 6, 5)
    places = torch.tensor([[1.5, 2.25, 3.0], [3.5, 0, 0], [-0.25, 0, 0], [9, 9, 9]])
    read = sample(volume, places.double().T.reshape(1, 3, 4, 1, 1)).flatten()
    expected = map_coordinates(
        volume[0, 0].numpy(), places.T.numpy(), order=1, mode="grid-constant"
    )
    torch.testing.assert_close(read, torch.from_numpy(expected))
    assert read.tolist() == pytest.approx([1.5 + 22.5 + 300, 1.5, 0.0, 0.0])


def test_nearest_takes_whole_voxels() -> None:
    volume = cubes(4, 4, 4)
    places = torch.tensor([1.4, 2.6, 0.2]).double().view(1, 3, 1, 1, 1)
    assert sample(volume, places, mode="nearest").item() == 1 + 30


def test_a_translation_is_in_halves_of_its_own_axis() -> None:
    volume = cubes(16, 8, 4)
    places = identity_places((16, 8, 4), like=volume)
    moved = affine_places(shifted(0.25, 0, 0), places, (16, 8, 4))
    expected = torch.tensor([2.0, 0, 0]).double().view(1, 3, 1, 1, 1).expand_as(places)
    torch.testing.assert_close(moved - places, expected)


def test_published_matrix() -> None:
    matrix = affine_matrices(
        torch.tensor([[0.1, -0.2, 0.3]]).double(),
        torch.tensor([[1.1, 0.9, 1.05]]).double(),
        torch.tensor([[0.05, -0.04, 0.03, -0.02, 0.01, 0.06]]).double(),
        torch.tensor([[4.0, -6, 8]]).double(),
    )
    torch.testing.assert_close(matrix[0], MATRIX, rtol=0, atol=1e-6)


def test_published_affine_warp() -> None:
    volume = cubes(*SIZE)
    read = sample(volume, affine_places(published(SIZE), identity_places(SIZE, like=volume), SIZE))
    assert read[0, 0, 3, 3, 3].item() == pytest.approx(685.5023, abs=1e-3)
    assert read[0, 0, 5, 4, 2].item() == pytest.approx(508.4548, abs=1e-3)
    assert read.sum().item() == pytest.approx(66124.04, abs=0.1)


def displaced(*, like: Tensor, x: float = 0, y: float = 0, z: float = 0) -> Tensor:
    """One displacement for all voxels, (1, 3, X, Y, Z)."""
    return like.new_tensor([x, y, z]).view(1, 3, 1, 1, 1).expand(1, 3, *like.shape[2:])


def test_published_displacements() -> None:
    volume = cubes(*SIZE)
    displacement = displaced(like=volume, x=-0.5, z=1)
    read = warp(volume, shifted(0, 0, 0), displacement)
    assert read[0, 0, 3, 3, 3].item() == pytest.approx(432.5)
    assert read.sum().item() == pytest.approx(184072)
    read = warp(volume, shifted(0, 0, 0), displacement, consistent=False)
    assert read[0, 0, 3, 3, 3].item() == pytest.approx(438.785767, abs=1e-4)
    assert read.sum().item() == pytest.approx(132312.25, abs=0.1)


def test_no_displacement_is_the_identity_but_in_the_release() -> None:
    volume = cubes(*SIZE)
    nothing = displaced(like=volume)
    assert torch.equal(warp(volume, shifted(0, 0, 0), nothing), volume)
    read = warp(volume, shifted(0, 0, 0), nothing, consistent=False)
    diagonal = [0, 71.357140, 198.214294, 325.071442, 451.928589, 578.785767, 705.642883, 97.125]
    found = [read[0, 0, i, i, i].item() for i in range(8)]
    assert found == pytest.approx(diagonal, abs=1e-4)


def test_published_compositions() -> None:
    volume = cubes(*SIZE)
    displacement = displaced(like=volume, x=-0.5, z=1)
    given = volume, published(SIZE), displacement
    twice = warp(*given, at_once=False)
    assert twice[0, 0, 3, 3, 3].item() == pytest.approx(139.9150, abs=1e-3)
    assert twice[0, 0, 5, 4, 2].item() == pytest.approx(499.0918, abs=1e-3)
    assert twice.sum().item() == pytest.approx(53809.35, abs=0.1)
    fused = warp(*given)
    assert fused[0, 0, 3, 3, 3].item() == pytest.approx(151.8089, abs=1e-3)
    assert fused[0, 0, 5, 4, 2].item() == pytest.approx(501.5394, abs=1e-3)
    assert fused.sum().item() == pytest.approx(57969.44, abs=0.1)
    released = warp(*given, at_once=False, consistent=False)
    assert released[0, 0, 3, 3, 3].item() == pytest.approx(127.6461, abs=1e-3)
    assert released.sum().item() == pytest.approx(39729.98, abs=0.1)


def test_rotations_turn_right_handed_about_x_first() -> None:
    quarter = torch.pi / 2
    about_x, about_z = rotations(torch.tensor([[quarter, 0, 0], [0, 0, quarter]]))
    y, x = torch.tensor([0.0, 1, 0]), torch.tensor([1.0, 0, 0])
    torch.testing.assert_close(about_x @ y, torch.tensor([0.0, 0, 1]))
    torch.testing.assert_close(about_z @ x, torch.tensor([0.0, 1, 0]))
    (both,) = rotations(torch.tensor([[quarter, 0, quarter]]))
    torch.testing.assert_close(both, about_z @ about_x)


def test_gradients_reach_the_parameters_of_a_matrix_and_the_volume() -> None:
    random = torch.Generator().manual_seed(0)

    def warped(*given: Tensor) -> Tensor:
        *parameters, volume = given
        places = identity_places((4, 3, 5), like=volume)
        return sample(volume, affine_places(affine_matrices(*parameters), places, (4, 3, 5)))

    given = [0.1 * torch.randn(1, n, generator=random).double() for n in (3, 3, 6, 3)]
    given[1] += 1
    volume = torch.randn(1, 1, 4, 3, 5, generator=random).double()
    assert torch.autograd.gradcheck(warped, [t.requires_grad_() for t in (*given, volume)])
