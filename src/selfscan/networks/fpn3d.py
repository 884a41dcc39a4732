"""The feature pyramid network of vox2vec: a residual U-Net that gives the map of every level."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, get_args

from torch import Tensor, nn
from torch.nn import functional

from selfscan.networks.backbone import Backbone, BackboneConfig, Features, Pyramid
from selfscan.networks.blocks import Norm, ResidualBlock


class FPN3D(Backbone):
    """From volumes of any size to maps whose vectors, put together, describe a voxel.

    A block is norm, ReLU, 3x3x3 convolution, twice, added to its input. Going down, each level but
    the coarsest is pooled and its channels doubled by a 1x1x1 convolution; going up, the level
    below is brought to the width of this one, enlarged by repeating cells, and added to this one's
    own map. No norm or activation closes a level, so levels differ in scale.

    Source: Goncharov et al., "vox2vec", MICCAI 2023, arXiv 2307.14725; layers are those of its
    release.

    Args:
        in_channels: Channels of the volumes.
        channels: Channels of the finest level; each coarser one has twice as many.
        levels: Levels of the pyramid.
        blocks: Residual blocks of each stage: one number, or one a level, fine to coarse.
        norm: `batch` (published) or `instance`, for batches of few crops.
    """

    def __init__(
        self,
        in_channels: int = 1,
        *,
        channels: int = 16,
        levels: int = 6,
        blocks: int | tuple[int, ...] = 2,
        norm: Norm = "batch",
    ) -> None:
        super().__init__()
        if in_channels < 1:
            raise ValueError(f"in_channels must be at least 1, got {in_channels}")
        depths = (blocks,) * levels if isinstance(blocks, int) else blocks
        widths = tuple(channels * 2**level for level in range(levels))
        self.in_channels = in_channels
        edges = [2**level for level in range(levels)]
        self.encoder_pyramid = Pyramid(widths, tuple((edge, edge, edge) for edge in edges))
        self.decoder_pyramid = self.encoder_pyramid
        self.divisor = (1, 1, 1)

        self.stem = nn.Conv3d(in_channels, channels, kernel_size=3, padding=1)
        stages = [(width, depth, norm) for width, depth in zip(widths, depths, strict=True)]
        self.down = nn.ModuleList(_stage(*stage) for stage in stages)
        self.pool = nn.MaxPool3d(2, ceil_mode=True)
        self.widen = nn.ModuleList(nn.Conv3d(fine, coarse, 1) for fine, coarse in pairwise(widths))
        # Fine to coarse, like the pyramid: up[0] is the last to run.
        self.narrow = nn.ModuleList(nn.Conv3d(coarse, fine, 1) for fine, coarse in pairwise(widths))
        self.skip = nn.ModuleList(nn.Conv3d(width, width, 1) for width in widths[:-1])
        self.up = nn.ModuleList(_stage(*stage) for stage in stages[:-1])

    def forward(self, volumes: Tensor) -> Features:
        """Compute both pyramids of volumes (B, C, X, Y, Z); odd axes are halved rounding up.

        Raises:
            ValueError: The channels are not `in_channels`.
        """
        encoder = self.encode(volumes)
        decoder = [encoder[-1]]
        for level in reversed(range(len(self.up))):
            own = encoder[level]
            x, y, z = own.shape[2:]
            below = functional.interpolate(self.narrow[level](decoder[-1]), scale_factor=2.0)
            decoder.append(self.up[level](below[..., :x, :y, :z] + self.skip[level](own)))
        return Features(encoder=encoder, decoder=tuple(reversed(decoder)))

    def encode(self, volumes: Tensor) -> tuple[Tensor, ...]:
        """Compute the levels of the way down, fine to coarse; the coarsest is in both pyramids."""
        self.check(volumes)
        levels = [self.down[0](self.stem(volumes))]
        for widen, stage in zip(self.widen, self.down[1:], strict=True):
            levels.append(stage(widen(self.pool(levels[-1]))))
        return tuple(levels)

    def encoder_parameters(self) -> list[nn.Parameter]:
        """The parameters of the stem and of the way down."""
        parts = (self.stem, self.down, self.widen)
        return [parameter for part in parts for parameter in part.parameters()]


@dataclass(frozen=True)
class FPN3DConfig(BackboneConfig):
    """The feature pyramid of vox2vec (Goncharov et al., 2023); defaults equal the publication.

    Attributes:
        channels: Channels of the finest level; each coarser one has twice as many.
        levels: Levels of the pyramid.
        blocks: Residual blocks of each stage: one number, or one a level, fine to coarse.
        norm: `batch` (published) or `instance`, for batches of few crops.
    """

    name: ClassVar[str] = "fpn3d"
    channels: int = 16
    levels: int = 6
    blocks: int | tuple[int, ...] = 2
    norm: Norm = "batch"

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        for name in ("channels", "levels"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        depths = (self.blocks,) * self.levels if isinstance(self.blocks, int) else self.blocks
        if len(depths) != self.levels or min(depths) < 1:
            raise ValueError(
                f"blocks must be one number of at least 1, or {self.levels} of them, one a level, "
                f"got {self.blocks}"
            )
        if self.norm not in get_args(Norm):
            raise ValueError(f"norm must be one of {', '.join(get_args(Norm))}, got {self.norm!r}")

    def build(self, in_channels: int) -> FPN3D:
        """The network with PyTorch's initialization, as published."""
        return FPN3D(
            in_channels,
            channels=self.channels,
            levels=self.levels,
            blocks=self.blocks,
            norm=self.norm,
        )


def _stage(width: int, blocks: int, norm: Norm) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(width, norm=norm) for _ in range(blocks)))
