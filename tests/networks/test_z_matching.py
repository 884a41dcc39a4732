"""The head that regresses warps: where it starts, what each switch does."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from selfscan.networks.z_matching import ZMatching
from selfscan.spatial_transformer import affine_matrices


def features(size: tuple[int, int, int] = (8, 6, 4)) -> dict[str, tuple[Tensor, Tensor]]:
    random = torch.Generator().manual_seed(0)
    return {
        "coarse": (torch.rand(2, 12, 2, 2, 1, generator=random),) * 2,
        "fine": (torch.rand(2, 4, *size, generator=random),) * 2,
    }


def test_training_starts_at_the_identity() -> None:
    match = ZMatching(12, 4)(**features())
    assert torch.equal(match.matrices, torch.eye(3, 4).expand(2, 3, 4))
    assert match.displacements.shape == (2, 3, 8, 6, 4)
    assert not match.displacements.any()
    released = ZMatching(12, 4, from_identity=False)(**features())
    assert not torch.allclose(released.matrices, torch.eye(3, 4), atol=1e-2)
    assert released.displacements.any()


def test_the_matrix_keeps_to_the_published_ranges() -> None:
    torch.manual_seed(0)
    matching = ZMatching(12, 4)
    for layer, value in ((matching.angles, 9.0), (matching.scales, -9.0), (matching.shears, 0.5)):
        torch.nn.init.constant_(layer.bias, value)
    torch.nn.init.constant_(matching.shifts.bias, 24.0)
    match = matching(**features())
    expected = affine_matrices(
        torch.full((2, 3), torch.pi / 9),
        torch.full((2, 3), 0.75),
        torch.full((2, 6), torch.pi / 36),
        torch.tensor([[3.0, 4.0, 6.0]]).expand(2, 3),
    )
    torch.testing.assert_close(match.matrices, expected)


def test_the_release_divides_shifts_by_the_opposite_axis() -> None:
    matching = ZMatching(12, 4, own_axis_shifts=False)
    torch.nn.init.constant_(matching.shifts.bias, 24.0)
    assert matching(**features()).matrices[0, :, 3].tolist() == [6.0, 4.0, 3.0]


def test_a_shift_of_one_moves_by_its_unit() -> None:
    matching = ZMatching(12, 4, shift_unit=4.0)
    torch.nn.init.ones_(matching.shifts.bias)
    # Relative places: a voxel of n is 2 / n.
    assert matching(**features()).matrices[0, :, 3].tolist() == pytest.approx([1, 4 / 3, 2])


def test_only_with_the_repair_does_the_loss_reach_the_affine_head() -> None:
    for affine_gradient in (True, False):
        torch.manual_seed(0)
        matching = ZMatching(12, 4, affine_gradient=affine_gradient, from_identity=False)
        match = matching(**features())
        torch.autograd.backward(match.matrices.sum() * 0 + match.displacements.square().sum())
        reached = {
            name for name, p in matching.named_parameters() if p.grad is not None and p.grad.any()
        }
        global_part = {"angles.weight", "scales.weight", "shifts.weight", "shears.weight"}
        assert global_part <= reached if affine_gradient else not global_part & reached
        assert "local.0.weight" in reached


def test_warps_are_float32_under_autocast() -> None:
    torch.manual_seed(0)
    matching = ZMatching(12, 4, from_identity=False)
    with torch.autocast("cpu", torch.bfloat16):
        match = matching(**features())
    assert match.matrices.dtype == match.displacements.dtype == torch.float32
