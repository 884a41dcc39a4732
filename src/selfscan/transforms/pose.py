"""Random poses: rotation, scale, shear and shift of a whole volume, and a smooth displacement."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from selfscan.spatial_transformer import affine_matrices, warp
from selfscan.transforms.elastic import ElasticParameters, draw_elastic, elastic_displacements
from selfscan.transforms.random import KeyedGenerator


@dataclass(frozen=True)
class PoseConfig:
    """How far a pose may go; defaults are those of the release of GVSL (He et al., CVPR 2023).

    Attributes:
        rotation_degrees: Largest angle about each axis, either way.
        scaling: Largest change of scale along each axis, either way.
        shear_degrees: Largest angle of each of six shears, either way.
        shift: Largest shift along each axis, either way, as a share of half its length.
        elastic_sigma: Least and largest width of the Gaussian that smooths displacements, in
            voxels.
        elastic_amplitude: Largest factor on the smoothed noise; 0 displaces nothing.
    """

    rotation_degrees: float = 20.0
    scaling: float = 0.25
    shear_degrees: float = 10.0
    shift: float = 0.1
    elastic_sigma: tuple[float, float] = (10.0, 13.0)
    elastic_amplitude: float = 512.0

    def __post_init__(self) -> None:
        """Refuse values without a meaning."""
        for name, limit in (("rotation_degrees", 180), ("shear_degrees", 45), ("scaling", 1)):
            if not 0 <= getattr(self, name) < limit:
                raise ValueError(f"{name} must lie in [0, {limit}), got {getattr(self, name)}")
        for name in ("shift", "elastic_amplitude"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        low, high = self.elastic_sigma
        if not 0 < low <= high:
            raise ValueError(f"elastic_sigma must be positive and rise, got {self.elastic_sigma}")


@dataclass(frozen=True)
class PoseParameters:
    """One pose an example.

    Attributes:
        matrices: From relative places of the result to those of the volume, (B, 3, 4).
        elastic: What is added to places, in voxels, before the matrix.
    """

    matrices: Tensor
    elastic: ElasticParameters


def draw_poses(random: KeyedGenerator, config: PoseConfig) -> PoseParameters:
    """Draw angles, scales, shears and shifts uniformly, and a displacement."""

    def symmetric(count: int, largest: float) -> Tensor:
        return (2 * random.uniform(count) - 1) * largest

    return PoseParameters(
        affine_matrices(
            symmetric(3, math.radians(config.rotation_degrees)),
            1 + symmetric(3, config.scaling),
            symmetric(6, math.radians(config.shear_degrees)),
            symmetric(3, config.shift),
        ),
        draw_elastic(random, sigma=config.elastic_sigma, amplitude=config.elastic_amplitude),
    )


def apply_poses(
    volumes: Tensor,
    parameters: PoseParameters,
    *,
    at_once: bool = True,
    consistent: bool = True,
    centered: bool = True,
) -> Tensor:
    """Read volumes (B, C, X, Y, Z) in their pose; 0 outside.

    The switches are those of `warp` and `elastic_displacements`.
    """
    size = (volumes.shape[2], volumes.shape[3], volumes.shape[4])
    displacements = elastic_displacements(parameters.elastic, size, centered=centered)
    return warp(volumes, parameters.matrices, displacements, at_once=at_once, consistent=consistent)
