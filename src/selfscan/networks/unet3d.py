"""The 3D U-Net of Models Genesis: three poolings, transposed convolutions, batch statistics."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from selfscan.networks.backbone import BackboneConfig, Pyramid
from selfscan.networks.unet import UNet

Norm = Literal["batch-statistics", "batch", "instance"]
Enlargement = Literal["transposed", "nearest"]


class UNet3D(UNet):
    """The published 3D U-Net; `width` scales every layer.

    A block is a 3x3x3 convolution with bias, a norm and a ReLU; a stage is two blocks. Four stages
    go down with max-pooling between them, three go up, each on a transposed convolution of the
    stage below joined with the skip connection. The coarsest level of both pyramids is the
    bottleneck.

    Source: Zhou et al., "Models Genesis", MICCAI 2019; the layers are those of its PyTorch release.

    Args:
        in_channels: Channels of the volumes.
        width: Channels of the first convolution; the pyramid has 2, 4, 8 and 16 times as many.
        norm: `batch-statistics` normalizes by the statistics of the batch at hand in training and
            in evaluation alike (published), `batch` keeps running statistics for evaluation,
            `instance` normalizes every volume by itself.
        skips: Whether a stage that goes up sees the encoder's map of its level too; without them
            all that it knows has passed the bottleneck, as in an auto-encoder.
        enlargement: How the map below grows: by a `transposed` convolution (published), or each
            cell is repeated (`nearest`), without weights.
        gradient_checkpointing: Compute the inside of each stage again in the backward pass instead
            of keeping it: less memory, about a third more time, the same gradients.
    """

    def __init__(
        self,
        in_channels: int = 1,
        *,
        width: int = 32,
        norm: Norm = "batch-statistics",
        skips: bool = True,
        enlargement: Enlargement = "transposed",
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__(in_channels, gradient_checkpointing=gradient_checkpointing)
        channels = (2 * width, 4 * width, 8 * width, 16 * width)
        strides = ((1, 1, 1), (2, 2, 2), (4, 4, 4), (8, 8, 8))
        self.encoder_pyramid = self.decoder_pyramid = Pyramid(channels, strides)
        self.divisor = strides[-1]
        self.mixes_batch = norm == "batch-statistics"
        self.skips = skips

        entries = (in_channels, *channels[:-1])
        self.down = nn.ModuleList(
            _stage(entry, exit // 2, exit, norm)
            for entry, exit in zip(entries, channels, strict=True)
        )
        # Fine to coarse, like the merges.
        self.ups = nn.ModuleList(
            _enlarging(coarse, enlargement) for _, coarse in pairwise(channels)
        )
        self.merges = nn.ModuleList(
            _stage(coarse + fine * skips, fine, fine, norm) for fine, coarse in pairwise(channels)
        )

    def join(self, level: int, skip: Tensor, below: Tensor) -> Tensor:
        """The enlarged map below, then, with skips, the level's own."""
        enlarged: Tensor = self.ups[level](below)
        return torch.cat((enlarged, skip), dim=1) if self.skips else enlarged


@dataclass(frozen=True)
class UNet3DConfig(BackboneConfig):
    """The 3D U-Net of Models Genesis (Zhou et al., 2019); defaults equal the publication.

    Attributes:
        width: Channels of the first convolution.
        norm: `batch-statistics` (published), `batch` or `instance`.
        skips: Whether the decoder sees the encoder's maps, not the bottleneck alone.
        enlargement: `transposed` convolutions (published), or `nearest`, without weights.
        gradient_checkpointing: Less memory for about a third more time.
    """

    name: ClassVar[str] = "unet3d"
    width: int = 32
    norm: Norm = "batch-statistics"
    skips: bool = True
    enlargement: Enlargement = "transposed"
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        if self.width < 1:
            raise ValueError(f"width must be at least 1, got {self.width}")
        for name, allowed in (("norm", get_args(Norm)), ("enlargement", get_args(Enlargement))):
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}"
                )
        if self.norm == "batch" and self.gradient_checkpointing:
            raise ValueError(
                "gradient_checkpointing with norm='batch' would count every batch twice in the "
                "running statistics; choose norm='batch-statistics' or norm='instance'"
            )

    def build(self, in_channels: int) -> UNet3D:
        """The network with PyTorch's initialization, as published."""
        return UNet3D(
            in_channels,
            width=self.width,
            norm=self.norm,
            skips=self.skips,
            enlargement=self.enlargement,
            gradient_checkpointing=self.gradient_checkpointing,
        )


def _enlarging(channels: int, enlargement: Enlargement) -> nn.Module:
    if enlargement == "nearest":
        return nn.Upsample(scale_factor=2, mode="nearest")
    return nn.ConvTranspose3d(channels, channels, kernel_size=2, stride=2)


def _stage(entry: int, middle: int, exit: int, norm: Norm) -> nn.Sequential:
    return nn.Sequential(block(entry, middle, norm), block(middle, exit, norm))


def block(entry: int, exit: int, norm: Norm) -> nn.Sequential:
    """A 3x3x3 convolution with bias, a norm and a ReLU, from so many channels to so many."""
    layer: nn.Module
    if norm == "instance":
        layer = nn.InstanceNorm3d(exit, affine=True)
    else:
        layer = nn.BatchNorm3d(exit, track_running_stats=norm == "batch")
    return nn.Sequential(
        nn.Conv3d(entry, exit, kernel_size=3, padding=1), layer, nn.ReLU(inplace=True)
    )
