"""Weights and volumes by formula, as the reference values of GVSL were worked out with.

The reference has axes (D, H, W) and displacements along these; here X is W and Z is D, so volumes
and kernels are transposed and displacements reversed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from selfscan.methods.gvsl import GVSL
from selfscan.networks.gvsl_unet import GVSLUNet


def parameters(method: GVSL) -> list[nn.Parameter]:
    """The 104 parameter tensors, in the reference's order."""
    backbone, matching = method.backbone, method.matching
    assert isinstance(backbone, GVSLUNet)
    parts: list[nn.Module] = [
        *backbone.down,
        *reversed(backbone.merges),
        matching.affine,
        matching.local,
        method.restoration,
        matching.displacement,
        matching.angles,
        matching.scales,
        matching.shifts,
        matching.shears,
    ]
    return [parameter for part in parts for parameter in part.parameters()]


@torch.no_grad()
def fill(method: GVSL) -> None:
    """Set all weights."""
    displacement = method.matching.displacement
    for k, parameter in enumerate(parameters(method)):
        shape = parameter.shape
        if len(shape) == 1:
            is_norm = _is_weight(method, parameter)
            parameter.fill_(1.0 if is_norm else 0.01 * (k % 5))
            continue
        kernel = (*shape[:2], *reversed(shape[2:]))
        numbers = torch.arange(parameter.numel(), dtype=torch.float64).view(kernel)
        weights = torch.sin(0.7 * numbers + k) * (2 / parameter[0].numel()) ** 0.5
        if len(shape) == 5:
            weights = weights.transpose(2, 4)
        parameter.copy_(weights.flip(0) if parameter is displacement.weight else weights)


def _is_weight(method: GVSL, parameter: nn.Parameter) -> bool:
    norms = [layer for layer in method.modules() if isinstance(layer, nn.GroupNorm)]
    return any(parameter is norm.weight for norm in norms)


def volumes(x: int, y: int, z: int) -> tuple[Tensor, Tensor]:
    """The fixed and the moving volume, (1, 1, X, Y, Z)."""
    i, j, k = torch.meshgrid(*(torch.arange(n).double() for n in (x, y, z)), indexing="ij")
    fixed = 0.5 + 0.5 * torch.sin(0.3 * k + 0.2 * j + 0.1 * i)
    moving = 0.5 + 0.5 * torch.cos(0.25 * k - 0.15 * j + 0.2 * i)
    return fixed.float()[None, None], moving.float()[None, None]
