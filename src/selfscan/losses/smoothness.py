"""How much a displacement changes from voxel to voxel."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Norm = Literal["l2", "l1"]
NORMS: tuple[Norm, ...] = ("l2", "l1")


def smoothness(displacement: Tensor, *, norm: Norm = "l2") -> Tensor:
    """The mean square of the step from each voxel to the next; each of the three axes counts alike.

    A shift of the whole volume costs nothing; a displacement that grows by s voxels a voxel along
    one axis, in one of its three components, costs s^2 / 9.

    Source: He et al., "Geometric Visual Similarity Learning", CVPR 2023, and its release.

    Args:
        displacement: In voxels, shape (B, 3, X, Y, Z).
        norm: "l2" for squares as published, "l1" for absolute values.

    Returns:
        The loss, a scalar of float32 or more, also under autocast.

    Raises:
        ValueError: The shape is not that of a displacement of 2 voxels an axis, or the norm is none
            of these.
    """
    if displacement.ndim != 5 or displacement.shape[1] != 3 or min(displacement.shape[2:]) < 2:
        raise ValueError(
            "expected a displacement (B, 3, X, Y, Z) of at least 2 voxels along each axis, "
            f"got {tuple(displacement.shape)}"
        )
    if norm not in NORMS:
        raise ValueError(f"norm must be one of {', '.join(NORMS)}, got {norm!r}")
    precise = displacement.to(torch.promote_types(displacement.dtype, torch.float32))
    steps = [precise.diff(dim=axis) for axis in (2, 3, 4)]
    sizes = [step.square() if norm == "l2" else step.abs() for step in steps]
    return torch.stack([size.mean() for size in sizes]).mean()
