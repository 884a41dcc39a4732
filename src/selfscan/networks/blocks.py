"""The residual block of vox2vec's networks."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

Norm = Literal["batch", "instance"]


class ResidualBlock(nn.Module):
    """Norm, ReLU and convolution, twice, added to the input; sizes stay as they are.

    Source: Goncharov et al., "vox2vec", MICCAI 2023; layers are those of its release.

    Args:
        width: Channels.
        norm: `batch` (published) or `instance`.
        kernel_size: Edge of the convolutions, odd, in cells.
    """

    def __init__(self, width: int, *, norm: Norm = "batch", kernel_size: int = 3) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_half(width, norm, kernel_size), *_half(width, norm, kernel_size)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Change features (B, C, X, Y, Z)."""
        changed: Tensor = features + self.layers(features)
        return changed


def _half(width: int, norm: Norm, kernel_size: int) -> tuple[nn.Module, ...]:
    layer = nn.BatchNorm3d(width) if norm == "batch" else nn.InstanceNorm3d(width, affine=True)
    convolution = nn.Conv3d(width, width, kernel_size, padding=kernel_size // 2)
    return layer, nn.ReLU(inplace=True), convolution
