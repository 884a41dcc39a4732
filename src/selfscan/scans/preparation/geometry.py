"""Where voxels are: RAS+ by permutation and flips, other spacings by interpolation, and back.

Affines map voxel indices to millimeters and stay exact: an oblique scan stays oblique.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation
from scipy import ndimage

Affine = npt.NDArray[np.float64]
LabelResampling = Literal["nearest", "one-hot-linear"]

# Spacings this close, relative to each other, are one: headers are rounded.
SPACING_TOLERANCE = 1e-3
# Grids whose voxels lie this close, in voxels, are one: affines are rounded to float32 in files.
GRID_TOLERANCE = 1e-3


def spacing_of(affine: Affine) -> tuple[float, float, float]:
    """Millimeters between neighboring voxels along each axis."""
    x, y, z = np.linalg.norm(affine[:3, :3], axis=0).tolist()
    return x, y, z


def to_ras(array: npt.NDArray[Any], affine: Affine) -> tuple[npt.NDArray[Any], Affine]:
    """Permute and flip the last three axes so that they run most nearly to right, front and up.

    Args:
        array: Shape (..., I, J, K).
        affine: Its voxel indices to millimeters in RAS+.

    Returns:
        The array (..., X, Y, Z), a view where possible, and its affine.
    """
    orientation = io_orientation(affine)
    leading = array.ndim - 3
    # nibabel turns the first three axes of an array.
    turned = apply_orientation(
        np.moveaxis(array, range(leading), range(3, array.ndim)), orientation
    )
    array_ras = np.moveaxis(turned, range(3, array.ndim), range(leading))
    return array_ras, affine @ inv_ornt_aff(orientation, array.shape[-3:])


def resample(
    volume: npt.NDArray[Any], affine: Affine, spacing: Sequence[float]
) -> tuple[npt.NDArray[Any], Affine]:
    """Interpolate linearly on a grid of another spacing that covers the same box of space.

    Along axes that become coarser a Gaussian filters first what the new grid cannot hold (Cardoso
    et al., "Scale factor point spread function matching", MICCAI 2015).

    Args:
        volume: Shape (C, X, Y, Z).
        affine: Its voxel indices to millimeters.
        spacing: The new spacing along (X, Y, Z) in millimeters.

    Returns:
        The volume in float32 with its affine; the input itself where the spacing is that already.
    """
    grid = _Grid.of(volume.shape[-3:], affine, spacing)
    if grid.unchanged:
        return volume, affine
    return np.stack([grid.linear(channel) for channel in volume]), affine @ grid.matrix


def resample_labels(
    labels: npt.NDArray[Any], affine: Affine, spacing: Sequence[float], *, how: LabelResampling
) -> tuple[npt.NDArray[Any], Affine]:
    """Put labels (X, Y, Z) on the grid that `resample` gives an image.

    Args:
        labels: Whole numbers.
        affine: Their voxel indices to millimeters.
        spacing: The new spacing along (X, Y, Z) in millimeters.
        how: `nearest` takes the nearest voxel's label; `one-hot-linear` resamples a mask of each
            label like an image and takes the largest, which keeps surfaces smooth.
    """
    grid = _Grid.of(labels.shape, affine, spacing)
    if grid.unchanged:
        return labels, affine
    if how == "nearest":
        return grid.interpolated(labels, order=0), affine @ grid.matrix
    chosen = np.zeros(grid.shape, dtype=labels.dtype)
    most = np.full(grid.shape, -1.0, dtype=np.float32)
    for label in np.unique(labels):
        share = grid.linear(labels == label)
        chosen[share > most] = label
        np.maximum(most, share, out=most)
    return chosen, affine @ grid.matrix


def resample_onto(
    volume: npt.NDArray[np.float32],
    affine: Affine,
    target_shape: Sequence[int],
    target_affine: Affine,
) -> npt.NDArray[np.float32]:
    """Interpolate linearly on the grid of another scan; outside, the nearest voxel goes on.

    Where the grids are one up to order and direction of axes, voxels are moved and not computed.

    Args:
        volume: Shape (K, X, Y, Z), such as probabilities.
        affine: Its voxel indices to millimeters.
        target_shape: The other scan's voxels along its axes (I, J, K).
        target_affine: The other scan's voxel indices to millimeters.

    Returns:
        Shape (K, I, J, K).
    """
    # Turn the volume's axes into the target's first: what is left is often a scaling.
    between = np.linalg.inv(target_affine) @ affine
    turned, between = to_ras(volume, between)
    matrix = np.linalg.inv(between)
    shape = tuple(target_shape)
    corners = np.indices((2, 2, 2)).reshape(3, -1) * (np.array(shape)[:, None] - 1)
    drift = np.abs((matrix[:3, :3] - np.eye(3)) @ corners + matrix[:3, 3:]).max()
    if turned.shape[1:] == shape and drift < GRID_TOLERANCE:
        return np.ascontiguousarray(turned)
    linear = matrix[:3, :3]
    scaling = np.diagonal(linear)
    # scipy has a quicker way for a pure scaling.
    straight = np.abs(linear - np.diag(scaling)) @ np.array(shape) < GRID_TOLERANCE
    transform = scaling if straight.all() else linear
    return np.stack(
        [
            ndimage.affine_transform(
                part, transform, matrix[:3, 3], output_shape=shape, order=1, mode="nearest"
            )
            for part in turned
        ]
    )


def resizing_matrix(old: int, new: int) -> npt.NDArray[np.float32]:
    """What `resample` does along one axis, as weights of old voxels in each new one.

    Voxels are boxes that fill the axis: the center of new voxel i lies at (i + 1/2) old/new - 1/2.

    Args:
        old: Voxels along the axis.
        new: As many as it shall have.

    Returns:
        Shape (new, old); each row sums to 1.
    """
    grid = _Grid((old, old, 1), np.array([old / new, 1.0, 1.0]))
    return grid.linear(np.eye(old)[:, :, None])[:, :, 0]


class _Grid:
    """A grid of another spacing over the box of space that the old voxels fill.

    Attributes:
        shape: Its voxels along (X, Y, Z): as many as come nearest to the old box, at least one.
        matrix: Its voxel indices to the old ones.
        unchanged: Whether it is the old grid.
    """

    def __init__(self, old_shape: Sequence[int], factors: npt.NDArray[np.float64]) -> None:
        self.factors = factors
        x, y, z = np.maximum(1, np.rint(np.array(old_shape) / self.factors)).astype(int).tolist()
        self.shape = (x, y, z)
        # The boxes share their center, so that rounding the shape cuts both ends alike.
        self.offset = ((np.array(old_shape) - 1) - (np.array(self.shape) - 1) * self.factors) / 2
        self.matrix = np.diag([*self.factors, 1.0])
        self.matrix[:3, 3] = self.offset
        self.unchanged = bool((self.factors == 1).all())

    @classmethod
    def of(cls, shape: Sequence[int], affine: Affine, spacing: Sequence[float]) -> _Grid:
        factors = np.array(spacing) / spacing_of(affine)
        return cls(shape, np.where(np.abs(factors - 1) < SPACING_TOLERANCE, 1.0, factors))

    def linear(self, volume: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        widths = np.sqrt(np.maximum(self.factors**2 - 1, 0) / (8 * np.log(2)))
        values = np.asarray(volume, dtype=np.float32)
        if widths.any():
            values = ndimage.gaussian_filter(values, widths, mode="nearest", truncate=3.0)
        return np.asarray(self.interpolated(values, order=1), dtype=np.float32)

    def interpolated(self, volume: npt.NDArray[Any], *, order: int) -> npt.NDArray[Any]:
        moved = ndimage.affine_transform(
            volume, self.factors, self.offset, output_shape=self.shape, order=order, mode="nearest"
        )
        return np.asarray(moved)
