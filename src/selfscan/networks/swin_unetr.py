"""Swin UNETR: MONAI's transformer of shifted windows with a convolutional decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from torch import Tensor, nn

from selfscan.networks.backbone import Backbone, BackboneConfig, Features, Pyramid

PatchMerging = Literal["fixed", "legacy"]


class SwinUNETR(Backbone):
    """MONAI's Swin UNETR without its last layer; names in the state dictionary are MONAI's.

    The encoder `swinViT` embeds blocks of 2x2x2 voxels; four stages attend within windows and merge
    cells by eight. Each of its maps is normalized over channels, without weights. Residual
    convolutions lead the volume and these maps into the decoder, whose coarsest level is the
    encoder's after one of them.

    Source: Hatamizadeh et al., "Swin UNETR", arXiv 2201.01266; Tang et al., "Self-Supervised
    Pre-Training of Swin Transformers for 3D Medical Image Analysis", CVPR 2022, arXiv 2111.14791,
    pre-train the encoder.

    Args:
        in_channels: Channels of the volumes.
        feature_size: Channels of the finest level; the coarsest has 16 times as many.
        depths: Transformer blocks of each stage, fine to coarse.
        heads: Attention heads of each stage, fine to coarse.
        window_size: Edge of the windows of attention, in cells.
        patch_merging: `fixed` joins each cell of a block once; `legacy` is the order of MONAI
            before 1.5, for weights trained with it. The state dictionary is the same.
        gradient_checkpointing: Compute the inside of each transformer block again in the backward
            pass instead of keeping it: less memory, one more pass of the encoder, the same
            gradients.
    """

    normalizes_cells = True

    def __init__(
        self,
        in_channels: int = 1,
        *,
        feature_size: int = 48,
        depths: tuple[int, ...] = (2, 2, 2, 2),
        heads: tuple[int, ...] = (3, 6, 12, 24),
        window_size: int = 7,
        patch_merging: PatchMerging = "fixed",
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        # MONAI takes seconds to import: commands that build no network do not wait for it.
        from monai.networks import nets

        from selfscan.networks.patch_merging import LegacyPatchMerging

        if in_channels < 1:
            raise ValueError(f"in_channels must be at least 1, got {in_channels}")
        widths = tuple(feature_size * 2**stage for stage in range(5))
        edges = tuple(2**level for level in range(6))
        strides = tuple((edge, edge, edge) for edge in edges)
        self.in_channels = in_channels
        self.encoder_pyramid = Pyramid(widths, strides[1:])
        self.decoder_pyramid = Pyramid((feature_size, *widths), strides)
        self.divisor = strides[-1]

        network = nets.SwinUNETR(
            in_channels=in_channels,
            out_channels=1,
            feature_size=feature_size,
            depths=depths,
            num_heads=heads,
            window_size=window_size,
            # MONAI's annotation asks for a module, its code for a class.
            downsample="merging" if patch_merging == "fixed" else LegacyPatchMerging,  # type: ignore[arg-type]
            use_checkpoint=gradient_checkpointing,
            spatial_dims=3,
        )
        self.swinViT = network.swinViT
        self.encoder1, self.encoder2 = network.encoder1, network.encoder2
        self.encoder3, self.encoder4 = network.encoder3, network.encoder4
        self.encoder10, self.decoder5 = network.encoder10, network.decoder5
        self.decoder4, self.decoder3 = network.decoder4, network.decoder3
        self.decoder2, self.decoder1 = network.decoder2, network.decoder1

    def forward(self, volumes: Tensor) -> Features:
        """Compute both pyramids of volumes (B, C, X, Y, Z), axes divisible by 32.

        Raises:
            ValueError: The channels are not `in_channels`, or the size does not fit.
        """
        encoder = self.encode(volumes)
        half, quarter, eighth, sixteenth, coarsest = encoder
        decoder = [self.encoder10(coarsest)]
        for up, skip in (
            (self.decoder5, sixteenth),
            (self.decoder4, self.encoder4(eighth)),
            (self.decoder3, self.encoder3(quarter)),
            (self.decoder2, self.encoder2(half)),
            (self.decoder1, self.encoder1(volumes)),
        ):
            decoder.append(up(decoder[-1], skip))
        return Features(encoder=encoder, decoder=tuple(reversed(decoder)))

    def encode(self, volumes: Tensor) -> tuple[Tensor, ...]:
        """Compute the transformer's maps, fine to coarse."""
        self.check(volumes)
        return tuple(self.swinViT(volumes, normalize=True))

    def encoder_parameters(self) -> list[nn.Parameter]:
        """The parameters of the transformer; all convolutions belong to the decoder."""
        return list(self.swinViT.parameters())


@dataclass(frozen=True)
class SwinUNETRConfig(BackboneConfig):
    """MONAI's Swin UNETR (Hatamizadeh et al., 2022); defaults are those of Tang et al., 2022.

    Attributes:
        feature_size: Channels of the finest level, a multiple of 12.
        depths: Transformer blocks of each stage, fine to coarse.
        heads: Attention heads of each stage, fine to coarse.
        window_size: Edge of the windows of attention, in cells.
        patch_merging: `fixed`, or `legacy` for weights trained with MONAI before 1.5.
        gradient_checkpointing: Less memory for one more pass of the encoder.
    """

    name: ClassVar[str] = "swin-unetr"
    feature_size: int = 48
    depths: tuple[int, ...] = (2, 2, 2, 2)
    heads: tuple[int, ...] = (3, 6, 12, 24)
    window_size: int = 7
    patch_merging: PatchMerging = "fixed"
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        if self.feature_size < 12 or self.feature_size % 12:
            raise ValueError(
                f"feature_size must be a positive multiple of 12, got {self.feature_size}"
            )
        for name in ("depths", "heads"):
            numbers = getattr(self, name)
            if len(numbers) != 4 or min(numbers) < 1:
                raise ValueError(f"{name} must be 4 numbers of at least 1, got {numbers}")
        widths = tuple(self.feature_size * 2**stage for stage in range(4))
        if any(width % heads for width, heads in zip(widths, self.heads, strict=True)):
            raise ValueError(
                f"heads must divide the channels of their stages, {widths}, got {self.heads}"
            )
        if self.window_size < 2:
            raise ValueError(f"window_size must be at least 2, got {self.window_size}")
        if self.patch_merging not in get_args(PatchMerging):
            raise ValueError(
                f"patch_merging must be one of {', '.join(get_args(PatchMerging))}, "
                f"got {self.patch_merging!r}"
            )

    def build(self, in_channels: int) -> SwinUNETR:
        """The network with MONAI's initialization."""
        return SwinUNETR(
            in_channels,
            feature_size=self.feature_size,
            depths=self.depths,
            heads=self.heads,
            window_size=self.window_size,
            patch_merging=self.patch_merging,
            gradient_checkpointing=self.gradient_checkpointing,
        )
