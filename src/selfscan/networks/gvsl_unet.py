"""The 3D U-Net of GVSL: four poolings, trilinear enlargement, group norm."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from selfscan.networks.backbone import BackboneConfig, Pyramid
from selfscan.networks.double_convolution import double_convolution
from selfscan.networks.unet import UNet


class GVSLUNet(UNet):
    """The published U-Net; `width` scales every layer.

    Five stages go down with max-pooling between them and double the channels; four go up, each on
    the stage below, enlarged trilinearly, behind the skip connection. The coarsest level of both
    pyramids is the bottleneck.

    Source: He et al., "Geometric Visual Similarity Learning in 3D Medical Image Self-supervised
    Pre-training", CVPR 2023, arXiv 2303.00874; layers are those of its release, which pads volumes
    to multiples of 16, where this one refuses others.

    Args:
        in_channels: Channels of the volumes.
        width: Channels of the finest level; the pyramid has 1, 2, 4, 8 and 16 times as many.
        gradient_checkpointing: Compute the inside of each stage again in the backward pass instead
            of keeping it: less memory, about a third more time, the same gradients.
    """

    def __init__(
        self, in_channels: int = 1, *, width: int = 32, gradient_checkpointing: bool = False
    ) -> None:
        super().__init__(in_channels, gradient_checkpointing=gradient_checkpointing)
        channels = tuple(width * 2**level for level in range(5))
        edges = [2**level for level in range(5)]
        self.encoder_pyramid = Pyramid(channels, tuple((edge, edge, edge) for edge in edges))
        self.decoder_pyramid = self.encoder_pyramid
        self.divisor = (16, 16, 16)

        self.down = nn.ModuleList(
            double_convolution(entry, exit) for entry, exit in pairwise((in_channels, *channels))
        )
        self.merges = nn.ModuleList(
            double_convolution(fine + coarse, fine) for fine, coarse in pairwise(channels)
        )
        for layer in self.modules():
            if isinstance(layer, nn.Conv3d):
                nn.init.kaiming_normal_(layer.weight)

    def join(self, level: int, skip: Tensor, below: Tensor) -> Tensor:
        """The level's own map, then the one below, enlarged trilinearly."""
        enlarged = functional.interpolate(
            below, scale_factor=2, mode="trilinear", align_corners=True
        )
        return torch.cat((skip, enlarged), dim=1)


@dataclass(frozen=True)
class GVSLUNetConfig(BackboneConfig):
    """The 3D U-Net of GVSL (He et al., 2023); defaults equal the publication.

    Attributes:
        width: Channels of the finest level.
        gradient_checkpointing: Less memory for about a third more time.
    """

    name: ClassVar[str] = "gvsl-unet"
    width: int = 32
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        if self.width < 1:
            raise ValueError(f"width must be at least 1, got {self.width}")

    def build(self, in_channels: int) -> GVSLUNet:
        """The network with the published initialization."""
        return GVSLUNet(
            in_channels, width=self.width, gradient_checkpointing=self.gradient_checkpointing
        )
