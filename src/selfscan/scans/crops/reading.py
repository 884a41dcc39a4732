"""The voxels of a crop, resized where it covers another number of them than it has."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from selfscan.scans.crops.examples import Crop
from selfscan.scans.preparation.geometry import resizing_matrix
from selfscan.scans.record import Voxel
from selfscan.scans.store import Store, outside
from selfscan.scans.volumes import cut_box


def read_volume(store: Store, crop: Crop) -> npt.NDArray[np.int16]:
    """The stored voxels of a crop, shape (C, *size).

    Raises:
        ScanError: The volume's file is missing or damaged.
    """
    volume = store.read(crop.scan, crop.start, crop.covered)
    return volume if crop.covered == crop.size else resize(volume, crop.size)


def cut_volume(
    volume: npt.NDArray[np.int16], hounsfield: Sequence[bool], crop: Crop
) -> npt.NDArray[np.int16]:
    """A crop of a volume in memory, as `read_volume` would read it from a store.

    Args:
        volume: Stored voxels (C, X, Y, Z).
        hounsfield: Which channels hold Hounsfield units, C of them.
        crop: Of this volume, whatever its number.
    """
    box = cut_box(volume, crop.start, crop.covered, outside(hounsfield))
    return box if crop.covered == crop.size else resize(box, crop.size)


def read_labels(store: Store, crop: Crop) -> npt.NDArray[Any]:
    """The labels of a crop, shape `size`, uint8 or int16.

    Raises:
        ScanError: The scan has no labels, or their file is damaged.
    """
    labels = store.read_labels(crop.scan, crop.start, crop.covered)
    return labels if crop.covered == crop.size else resize_labels(labels, crop.size)


def resize(volume: npt.NDArray[np.int16], size: Voxel) -> npt.NDArray[np.int16]:
    """Interpolate linearly on a grid of another size over the same box.

    Along axes that lose voxels the Gaussian of `prepare` averages first over as many as a new one
    covers. Voxels are boxes that fill the volume, so the center of new voxel i of n lies at
    (i + 1/2) old/n - 1/2 (align_corners=False); beyond the outermost centers their values go on.

    Args:
        volume: Stored voxels (C, X, Y, Z).
        size: New numbers of voxels along (X, Y, Z).

    Returns:
        Shape (C, *size), rounded.
    """
    along_x, along_y, along_z = map(_weights, volume.shape[1:], size)
    # Plane by plane: a whole scan in float32 would take twice the memory it takes as it is read.
    planes = [
        along_y @ plane.float() @ along_z.T for plane in torch.from_numpy(volume).flatten(0, 1)
    ]
    stacked = torch.stack(planes).view(*volume.shape[:2], -1)
    resized = (along_x @ stacked).view(len(volume), *size)
    return np.asarray(resized.round().short())


def resize_labels(labels: npt.NDArray[Any], size: Voxel) -> npt.NDArray[Any]:
    """The label of the voxel (X, Y, Z) in which each center of `resize`'s grid lies."""
    nearest = [
        (2 * np.arange(new) + 1) * old // (2 * new)
        for old, new in zip(labels.shape, size, strict=True)
    ]
    return labels[np.ix_(*nearest)]


@lru_cache(maxsize=64)
def _weights(old: int, new: int) -> Tensor:
    return torch.from_numpy(resizing_matrix(old, new))
