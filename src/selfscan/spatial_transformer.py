"""The spatial transformer: volumes read at places between voxels, by one convention throughout.

A place is (x, y, z) in voxels along the axes X, Y and Z, whole numbers at the centers of voxels. A
warp is backward: it says for each voxel of the result which place of the volume it is read at. The
value there is interpolated linearly; outside the volume lies 0, or its mirror image. Relative
places run from -1 to 1 between the outer faces of the volume, as PyTorch's `align_corners=False`
has it, so that place 0 of n is (1 - n) / n; matrices act on these, whatever the size.

Source: Jaderberg et al., "Spatial Transformer Networks", NeurIPS 2015.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional


def identity_places(size: Sequence[int], *, like: Tensor) -> Tensor:
    """The place of each voxel of a volume of a size, (1, 3, X, Y, Z), kind and device of `like`."""
    axes = [torch.arange(n, device=like.device, dtype=like.dtype) for n in size]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))[None]


def affine_places(matrices: Tensor, places: Tensor, size: Sequence[int]) -> Tensor:
    """Map places by matrices on relative places.

    Args:
        matrices: Shape (B, 3, 4), from the relative places of the result to those of the volume.
        places: In voxels, shape (B, 3, X, Y, Z), or (1, 3, X, Y, Z) for all.
        size: Voxels along (X, Y, Z) of both.

    Returns:
        In voxels, shape (B, 3, X, Y, Z).
    """
    half = matrices.new_tensor(size) / 2
    linear = matrices[:, :, :3] * half[:, None] / half
    center = half - 0.5
    shift = matrices[:, :, 3] * half + center - linear @ center
    mapped = linear @ places.flatten(2) + shift[:, :, None]
    return mapped.view(-1, *places.shape[1:])


def sample(
    volumes: Tensor,
    places: Tensor,
    *,
    mode: Literal["bilinear", "nearest"] = "bilinear",
    outside: Literal["zeros", "reflection"] = "zeros",
) -> Tensor:
    """Read volumes at places; differentiable in both.

    Args:
        volumes: Shape (B, C, X, Y, Z).
        places: In voxels, shape (B, 3, x, y, z), or (1, 3, x, y, z) for all.
        mode: `bilinear` interpolates linearly along all three axes, `nearest` takes whole voxels.
        outside: What lies around a volume: zeros, or its mirror image beyond each outer face.

    Returns:
        Shape (B, C, x, y, z), the kind of the places.
    """
    size = places.new_tensor(volumes.shape[2:]).view(3, 1, 1, 1)
    relative = (2 * places + 1) / size - 1
    # PyTorch names the last axis first.
    grid = relative.flip(1).movedim(1, -1).expand(len(volumes), -1, -1, -1, -1)
    return functional.grid_sample(volumes.to(grid.dtype), grid, mode, outside, align_corners=False)


def warp(
    volumes: Tensor,
    matrices: Tensor,
    displacements: Tensor,
    *,
    at_once: bool = True,
    consistent: bool = True,
) -> Tensor:
    """Read volumes at M(p + u(p)): displaced first, then mapped by a matrix.

    Args:
        volumes: Shape (B, C, X, Y, Z).
        matrices: M, on relative places, shape (B, 3, 4).
        displacements: u, in voxels, shape (B, 3, X, Y, Z).
        at_once: Interpolate once. Otherwise the volumes are read at M(p), and the result of that
            at p + u(p), which blurs twice and loses what the first step left outside.
        consistent: A displacement of 0 leaves a place alone. Otherwise `released_places` are read,
            as in the release of GVSL (He et al., CVPR 2023).

    Returns:
        Shape (B, C, X, Y, Z).
    """
    size = volumes.shape[2:]
    places = identity_places(size, like=displacements)
    displaced = places + displacements
    if not consistent:
        displaced = released_places(displaced, size)
    if at_once:
        return sample(volumes, affine_places(matrices, displaced, size))
    return sample(sample(volumes, affine_places(matrices, places, size)), displaced)


def released_places(places: Tensor, size: Sequence[int]) -> Tensor:
    """Where the release of GVSL reads for places (B, 3, X, Y, Z): at n / (n - 1) s - 1/2 for s."""
    length = places.new_tensor(size).view(3, 1, 1, 1)
    return places * length / (length - 1) - 0.5


def affine_matrices(angles: Tensor, scales: Tensor, shears: Tensor, shifts: Tensor) -> Tensor:
    """Rotate about x, y and z, then scale, then shear, then shift.

    Args:
        angles: In radians, about x, y and z, shape (B, 3).
        scales: Along x, y and z, shape (B, 3).
        shears: Angles in radians in the order xy, xz, yx, yz, zx, zy, shape (B, 6); the tangent of
            the first is how much of y is added to x.
        shifts: Shape (B, 3).

    Returns:
        Shape (B, 3, 4).
    """
    ones = torch.ones_like(shears[:, 0])
    xy, xz, yx, yz, zx, zy = shears.tan().unbind(1)
    sheared = torch.stack([ones, xy, xz, yx, ones, yz, zx, zy, ones], dim=1).view(-1, 3, 3)
    linear = sheared @ (scales[:, :, None] * rotations(angles))
    return torch.cat([linear, shifts[:, :, None]], dim=2)


def rotations(angles: Tensor) -> Tensor:
    """Rotations about x, then y, then z, by angles (B, 3) in radians; (B, 3, 3)."""
    generators = angles.new_zeros(3, 3, 3)
    for axis in range(3):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        generators[axis, second, first], generators[axis, first, second] = 1.0, -1.0
    about_x, about_y, about_z = torch.matrix_exp(angles[..., None, None] * generators).unbind(1)
    return about_z @ about_y @ about_x
