"""Quarter turns of whole crops, each by its own angle."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from selfscan.transforms.random import KeyedGenerator
from selfscan.transforms.windows import Size

Plane = Literal["axial", "sagittal"]

_FIRST_AXIS: dict[Plane, int] = {"axial": 0, "sagittal": 1}


def check_plane(plane: str, size: Size) -> None:
    """Refuse unknown planes, and crops of so many voxels along (X, Y, Z) that cannot turn in one.

    Raises:
        ValueError: The plane has no such name, or its two axes differ in length.
    """
    if plane not in _FIRST_AXIS:
        raise ValueError(f"the plane must be one of {', '.join(_FIRST_AXIS)}, got {plane!r}")
    first = _FIRST_AXIS[plane]
    if size[first] != size[first + 1]:
        raise ValueError(
            f"crops turn in the {plane} plane only where axes {'xyz'[first]} and "
            f"{'xyz'[first + 1]} are equally long, got {size}"
        )


def draw_quarter_turns(random: KeyedGenerator) -> Tensor:
    """How many quarter turns each example makes: 0 to 3, shape (B,), int64."""
    return random.integers(0, 3)


def apply_quarter_turns(volumes: Tensor, turns: Tensor, plane: Plane = "axial") -> Tensor:
    """Turn volumes (B, C, X, Y, Z) of any type, in the direction of `torch.rot90`.

    Args:
        volumes: Equally long along the two axes of the plane.
        turns: How many quarter turns each example makes, 0 to 3, shape (B,), int64.
        plane: `axial` turns X towards Y, about z; `sagittal` turns Y towards Z, about x.
    """
    examples, channels, *size = volumes.shape
    first = _FIRST_AXIS[plane]
    area = size[first] * size[first + 1]
    places = torch.arange(area, device=volumes.device).view(size[first], size[first + 1])
    turned = torch.stack([torch.rot90(places, quarters).flatten() for quarters in range(4)])
    sources = turned.index_select(0, turns)
    if plane == "sagittal":
        planes = volumes.flatten(3)
        return planes.gather(3, sources[:, None, None].expand_as(planes)).view_as(volumes)
    # Voxels along z stay together, so whole rows of them are copied.
    corners = torch.arange(0, examples * channels * area, area, device=volumes.device)
    rows = corners.view(examples, channels, 1) + sources[:, None]
    return volumes.flatten(0, 3).index_select(0, rows.flatten()).view_as(volumes)
