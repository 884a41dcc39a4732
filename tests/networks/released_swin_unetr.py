"""Weights and a volume by formula, of which the specification gives what Swin UNETR computes."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def fill_with_sines(network: nn.Module) -> None:
    """The specification's weights: sines of the place in each tensor; norms 1, other vectors 0."""
    norms = {
        f"{name}.weight" for name, part in network.named_modules() if isinstance(part, nn.LayerNorm)
    }
    for name, weight in network.named_parameters():
        if weight.ndim >= 2:
            places = torch.arange(weight.numel(), dtype=torch.float64)
            fan = weight.numel() / weight.shape[0]
            weight.data.copy_((torch.sin(0.7 * places) / fan**0.5).view_as(weight))
        else:
            weight.data.fill_(float(name in norms))


def wave(edge: int = 64) -> Tensor:
    """The specification's volume, shape (1, 1, edge, edge, edge)."""
    places = torch.arange(edge**3, dtype=torch.float64)
    return (0.5 + 0.5 * torch.sin(0.01 * places)).float().view(1, 1, edge, edge, edge)
