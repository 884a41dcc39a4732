"""Z-matching, the head of GVSL: from the features of two scans to the warp between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from selfscan.networks.double_convolution import double_convolution
from selfscan.spatial_transformer import affine_matrices, affine_places, identity_places, sample

_MOST_ANGLE, _MOST_SCALING, _MOST_SHEAR = math.pi / 9, 0.25, math.pi / 18


@dataclass(frozen=True)
class Match:
    """How the moving scan is read to look like the fixed one: displaced first, then mapped.

    Attributes:
        matrices: On relative places, shape (B, 3, 4); see `spatial_transformer`.
        displacements: In voxels, shape (B, 3, X, Y, Z).
    """

    matrices: Tensor
    displacements: Tensor


class ZMatching(nn.Module):
    """Regress an affine matrix from coarse features, then a displacement from fine ones.

    Global: the coarsest features of both scans, joined, give 15 numbers: angles of at most 20
    degrees, scales within 25 %, shears of at most 10 degrees, and shifts without limit. Local: the
    fine features of the moving scan, mapped by that matrix, and those of the fixed scan give a
    displacement of every voxel. Neither compares; both are convolutions.

    Source: He et al., "Geometric Visual Similarity Learning", CVPR 2023; layers and limits are
    those of its release. There no gradient reaches the global part, shifts are divided by the wrong
    axis, and training starts from a random warp: three switches bring that back.

    Args:
        coarse: Channels of the coarsest level.
        fine: Channels of the level of full resolution.
        affine_gradient: Whether the loss reaches the global part.
        shift_unit: By how many voxels a regressed shift of 1 moves.
        own_axis_shifts: Whether these are voxels of the shift's own axis, or else of the opposite
            one among (X, Y, Z).
        from_identity: Whether matrix and displacement start as the identity.
    """

    def __init__(
        self,
        coarse: int,
        fine: int,
        *,
        affine_gradient: bool = True,
        shift_unit: float = 0.5,
        own_axis_shifts: bool = True,
        from_identity: bool = True,
    ) -> None:
        super().__init__()
        self.affine_gradient, self.own_axis_shifts = affine_gradient, own_axis_shifts
        self.shift_unit = shift_unit
        self.affine = double_convolution(2 * coarse, 256)
        self.local = double_convolution(2 * fine, 16)
        self.displacement = nn.Conv3d(16, 3, kernel_size=3, padding=1)
        self.angles, self.scales = nn.Linear(256, 3), nn.Linear(256, 3)
        self.shifts, self.shears = nn.Linear(256, 3), nn.Linear(256, 6)
        if from_identity:
            for layer in (self.displacement, self.angles, self.scales, self.shifts, self.shears):
                for parameter in layer.parameters():
                    nn.init.zeros_(parameter)

    def forward(self, coarse: tuple[Tensor, Tensor], fine: tuple[Tensor, Tensor]) -> Match:
        """Match two scans.

        Args:
            coarse: The coarsest features of the moving and of the fixed scan, (B, C, x, y, z).
            fine: Those of full resolution, (B, C, X, Y, Z).

        Returns:
            In float32 or more, also under autocast, as places in voxels need.
        """
        moving, fixed = fine
        size = moving.shape[2:]
        matrices = self.matrices(*coarse, size=size)
        mapped = sample(moving, affine_places(matrices, identity_places(size, like=matrices), size))
        displacements = self.displacement(self.local(torch.cat([mapped, fixed], dim=1)))
        return Match(matrices, displacements.to(matrices.dtype))

    def matrices(self, moving: Tensor, fixed: Tensor, *, size: Sequence[int]) -> Tensor:
        """Matrices (B, 3, 4) for scans of a size (X, Y, Z) from their coarsest features."""
        pooled = self.affine(torch.cat([moving, fixed], dim=1)).mean(dim=(2, 3, 4))
        with torch.autocast(pooled.device.type, enabled=False):
            pooled = pooled.to(torch.promote_types(pooled.dtype, torch.float32))
            # Relative places run over 2 from the first face to the last.
            voxel = 2 / pooled.new_tensor(size)
            matrices = affine_matrices(
                self.angles(pooled).clamp(-1, 1) * _MOST_ANGLE,
                1 + self.scales(pooled).clamp(-1, 1) * _MOST_SCALING,
                self.shears(pooled).clamp(-1, 1) * _MOST_SHEAR,
                self.shifts(pooled)
                * self.shift_unit
                * (voxel if self.own_axis_shifts else voxel.flip(0)),
            )
        return matrices if self.affine_gradient else matrices.detach()
