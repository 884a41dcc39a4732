"""The residual-encoder U-Net that nnU-Net recommends, in three widths or as its plans say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from selfscan.networks.nnunet import FEATURES, NNUNetConfig


@dataclass(frozen=True)
class ResEncUNetConfig(NNUNetConfig):
    """The residual-encoder U-Net of nnU-Net; by name `resenc-l`, and narrower `-m` and `-s`.

    Attributes:
        features: Channels of each level, fine to coarse.
        strides: By how much each level shrinks the one above along (X, Y, Z).
        kernel_sizes: Edges of the convolutions of each level along (X, Y, Z), odd.
        bias: Whether convolutions have one.
        blocks: Residual blocks of each level going down.
        decoder_convolutions: Convolutions of each level going up, coarse to fine.
    """

    name: ClassVar[str] = "resenc-unet"
    architecture: ClassVar[str] = "ResidualEncoderUNet"
    presets: ClassVar[tuple[str, ...]] = ("s", "m", "l")
    blocks: tuple[int, ...] = (1, 3, 4, 6, 6, 6)
    decoder_convolutions: tuple[int, ...] = (1,) * 5

    def depths(self) -> dict[str, int]:
        """One a level going down, one a level going up."""
        return {"blocks": len(self.features), "decoder_convolutions": len(self.features) - 1}

    def depth_arguments(self) -> dict[str, list[int]]:
        """By the library's names."""
        return {
            "n_blocks_per_stage": list(self.blocks),
            "n_conv_per_stage_decoder": list(self.decoder_convolutions),
        }

    @classmethod
    def l(cls) -> ResEncUNetConfig:  # noqa: E743 - nnU-Net's name of the size
        """The default: ResEnc-L as OpenMind pre-trained it, and nnU-Net plans M and L alike."""
        return cls()

    @classmethod
    def m(cls) -> ResEncUNetConfig:
        """Half the channels of `l`; nnU-Net's own M has all of them, and smaller crops."""
        return cls(features=tuple(width // 2 for width in FEATURES))

    @classmethod
    def s(cls) -> ResEncUNetConfig:
        """A quarter of the channels of `l`."""
        return cls(features=tuple(width // 4 for width in FEATURES))
