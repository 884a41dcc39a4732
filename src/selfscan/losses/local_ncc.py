"""Local normalized cross-correlation: how well one volume predicts another, window by window."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

Border = Literal["padded", "full"]
BORDERS: tuple[Border, ...] = ("padded", "full")
EPSILON = 1e-5


def local_ncc(
    moving: Tensor,
    fixed: Tensor,
    *,
    window: int = 9,
    border: Border = "padded",
    stable: bool = True,
) -> Tensor:
    """1 minus the mean squared correlation of two volumes within a box around each voxel.

    0 where one volume is everywhere a linear function of the other, falling or rising; 1 where they
    have nothing in common.

    Source: He et al., "Geometric Visual Similarity Learning", CVPR 2023, and its release.

    Args:
        moving: Shape (B, C, X, Y, Z); channel is compared with channel.
        fixed: The same shape.
        window: Edge of the box in voxels, odd.
        border: "padded" averages over the boxes around all voxels and counts voxels beyond the
            volume as zeros, as published, which lets two flat volumes look alike at their border;
            "full" averages over the boxes that lie wholly inside.
        stable: As in `local_correlation`.

    Returns:
        The loss, a scalar; float32 or more where stable.

    Raises:
        ValueError: As in `local_correlation`, or no box lies inside the volume.
    """
    if border not in BORDERS:
        raise ValueError(f"border must be one of {', '.join(BORDERS)}, got {border!r}")
    correlation = local_correlation(moving, fixed, window=window, stable=stable)
    if border == "full":
        reach, edges = window // 2, correlation.shape[2:]
        if min(edges) < window:
            raise ValueError(f"no box of edge {window} lies inside a volume of {tuple(edges)}")
        x, y, z = (slice(reach, edge - reach) for edge in edges)
        correlation = correlation[:, :, x, y, z]
    return 1 - correlation.mean()


def local_correlation(
    moving: Tensor, fixed: Tensor, *, window: int = 9, stable: bool = True
) -> Tensor:
    """The squared correlation of two volumes within a box around each voxel, a number in [0, 1].

    With S a sum over the box, n its voxels, cross = S(I J) - S(I) S(J) / n, and var likewise, it is
    cross^2 / (var(I) var(J) + 1e-5). Voxels beyond the volume count as zeros.

    Args:
        moving: I, shape (B, C, X, Y, Z).
        fixed: J, the same shape.
        window: Edge of the box in voxels, odd and at least 3.
        stable: Sum in float64, also under autocast, and keep variances from falling below 0. Else
            sum in the type given by five dense convolutions, as the release does; where a volume is
            flat this rounds to numbers outside [0, 1], or under autocast to none at all.

    Returns:
        Shape (B, C, X, Y, Z), of float32 or more where stable.

    Raises:
        ValueError: The shapes differ or are not those of volumes, or the window has no center or no
            neighbors.
    """
    if moving.shape != fixed.shape or moving.ndim != 5:
        raise ValueError(
            "expected two volumes of one shape (B, C, X, Y, Z), "
            f"got {tuple(moving.shape)} and {tuple(fixed.shape)}"
        )
    if window < 3 or window % 2 == 0:
        raise ValueError(f"window must be odd and at least 3, got {window}")
    if not stable:
        return _as_released(moving, fixed, window)
    kind = torch.promote_types(torch.promote_types(moving.dtype, fixed.dtype), torch.float32)
    with torch.autocast(moving.device.type, enabled=False):
        correlation: Tensor = _Correlation.apply(moving.to(kind), fixed.to(kind), window)  # type: ignore[no-untyped-call]
    return correlation


class _Correlation(torch.autograd.Function):
    """Keeps the slopes of the correlation; a box sum is its own adjoint, so backward sums again."""

    @staticmethod
    def forward(ctx: Any, moving: Tensor, fixed: Tensor, window: int) -> Tensor:
        voxels = window**3
        volumes = _widen(moving), _widen(fixed)
        means = [_box_sum(volume, window) / voxels for volume in volumes]
        cross = _box_sum(volumes[0] * volumes[1], window) - voxels * means[0] * means[1]
        variances = [
            (_box_sum(volume.square(), window) - voxels * mean.square()).clamp_(min=0)
            for volume, mean in zip(volumes, means, strict=True)
        ]
        inverse = 1 / (variances[0] * variances[1] + EPSILON)
        correlation = cross.square() * inverse
        slopes = [
            2 * cross * inverse,
            *(-2 * correlation * inverse * of_other for of_other in reversed(variances)),
        ]
        ctx.save_for_backward(moving, fixed, *(kept.to(moving.dtype) for kept in means + slopes))
        ctx.window = window
        return correlation.to(moving.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """A box pulls on its voxels by how far both volumes are from their means there."""
        moving, fixed, *maps = ctx.saved_tensors
        volumes, means, slopes = (moving, fixed), maps[:2], maps[2:]
        upstream = _widen(gradients[0])
        of_cross = upstream * slopes[0]
        shared = _box_sum(of_cross, ctx.window)
        pulled: list[Tensor | None] = [None, None]
        for own, other in ((0, 1), (1, 0)):
            if ctx.needs_input_grad[own]:
                of_variance = upstream * slopes[1 + own]
                pull = shared * volumes[other] + _box_sum(of_variance, ctx.window) * volumes[own]
                centers = of_cross * means[other] + of_variance * means[own]
                pulled[own] = (pull - _box_sum(centers, ctx.window)).to(moving.dtype)
        return *pulled, None


def _box_sum(volumes: Tensor, window: int) -> Tensor:
    """Sums over boxes, an axis at a time: products with matrices of ones along a diagonal band."""
    x, y, z = (
        volumes.new_ones(edge, edge).tril_(window // 2).triu_(-(window // 2))
        for edge in volumes.shape[2:]
    )
    return (x @ (y @ volumes @ z).flatten(3)).view_as(volumes)


def _widen(volumes: Tensor) -> Tensor:
    """In float64 the sums over a flat volume cancel; Apple's GPUs lack it and do without."""
    return volumes if volumes.device.type == "mps" else volumes.double()


def _as_released(moving: Tensor, fixed: Tensor, window: int) -> Tensor:
    voxels = window**3
    box = moving.new_ones(1, 1, window, window, window)
    products = (moving, fixed, moving * moving, fixed * fixed, moving * fixed)
    first, second, first_square, second_square, both = (
        functional.conv3d(each.flatten(0, 1)[:, None], box, padding=window // 2)
        for each in products
    )
    first_mean, second_mean = first / voxels, second / voxels
    cross = both - second_mean * first - first_mean * second + first_mean * second_mean * voxels
    first_variance = first_square - 2 * first_mean * first + first_mean * first_mean * voxels
    second_variance = second_square - 2 * second_mean * second + second_mean * second_mean * voxels
    correlation = cross * cross / (first_variance * second_variance + EPSILON)
    return correlation.view_as(moving)
