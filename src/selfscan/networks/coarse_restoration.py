"""A head that restores a volume from a network's coarsest map alone; three published forms."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from selfscan.networks.backbone import Stride

UpSampling = Literal["vae", "deconv", "large-kernel-deconv"]


class CoarseRestorationHead(nn.Module):
    """From the coarsest map (B, F, x, y, z) to volumes (B, C, X, Y, Z), without an activation.

    `vae` doubles the axes step by step: a 3x3x3 convolution, which halves the channels but in the
    last step, instance norm, leaky ReLU, and linear interpolation; then a 1x1x1 convolution. The
    others are transposed convolutions: `deconv` one for each doubling with nothing between,
    `large-kernel-deconv` a single one of the whole stride.

    Source: Tang et al., "Self-Supervised Pre-Training of Swin Transformers for 3D Medical Image
    Analysis", CVPR 2022; layers are those of its release, whose stride is 32 along every axis. An
    axis of a smaller stride is doubled in the last steps only.

    Args:
        features: Channels F of the map.
        stride: Voxels to one cell along (X, Y, Z), powers of 2.
        up_sampling: Which form.
        channels: Channels C of the restored volume.

    Raises:
        ValueError: There is no such form, or nothing to double.
    """

    def __init__(
        self, features: int, stride: Stride, *, up_sampling: UpSampling = "vae", channels: int = 1
    ) -> None:
        super().__init__()
        if up_sampling not in get_args(UpSampling):
            raise ValueError(
                f"up_sampling must be one of {', '.join(get_args(UpSampling))}, got {up_sampling!r}"
            )
        factors = _doublings(stride)
        widths = [max(features >> halvings, 1) for halvings in range(len(factors))]
        if up_sampling == "vae":
            steps = zip(pairwise([*widths, widths[-1]]), factors, strict=True)
            layers = [_vae_step(*width, factor) for width, factor in steps]
            self.layers = nn.Sequential(*layers, nn.Conv3d(widths[-1], channels, kernel_size=1))
        elif up_sampling == "deconv":
            steps = zip(pairwise([*widths, channels]), factors, strict=True)
            self.layers = nn.Sequential(
                *(nn.ConvTranspose3d(*width, factor, stride=factor) for width, factor in steps)
            )
        else:
            self.layers = nn.Sequential(
                nn.ConvTranspose3d(features, channels, kernel_size=stride, stride=stride)
            )

    def forward(self, features: Tensor) -> Tensor:
        """Restore volumes (B, C, X, Y, Z), float32 or more."""
        restored: Tensor = self.layers(features)
        return restored.to(torch.promote_types(restored.dtype, torch.float32))


def _doublings(stride: Stride) -> list[Stride]:
    """The factors 1 or 2 along (X, Y, Z) that lead up from one cell, step by step."""
    steps = max(stride).bit_length() - 1
    if steps < 1 or any(edge < 1 or edge & (edge - 1) for edge in stride):
        raise ValueError(f"stride must be of powers of 2, one above 1 at least, got {stride}")
    x, y, z = stride
    return [
        (1 + (x >= edge), 1 + (y >= edge), 1 + (z >= edge))
        for edge in (2**step for step in range(steps, 0, -1))
    ]


def _vae_step(entry: int, exit: int, factor: Stride) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(entry, exit, kernel_size=3, padding=1),
        nn.InstanceNorm3d(exit),
        nn.LeakyReLU(0.01, inplace=True),
        nn.Upsample(scale_factor=factor, mode="trilinear", align_corners=False),
    )
