"""The plain U-Net that nnU-Net plans by default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from selfscan.networks.nnunet import NNUNetConfig


@dataclass(frozen=True)
class PlainUNetConfig(NNUNetConfig):
    """The plain U-Net of nnU-Net: two convolutions a level, without residual connections.

    Attributes:
        features: Channels of each level, fine to coarse.
        strides: By how much each level shrinks the one above along (X, Y, Z).
        kernel_sizes: Edges of the convolutions of each level along (X, Y, Z), odd.
        bias: Whether convolutions have one.
        convolutions: Convolutions of each level going down.
        decoder_convolutions: Convolutions of each level going up, coarse to fine.
    """

    name: ClassVar[str] = "plain-unet"
    architecture: ClassVar[str] = "PlainConvUNet"
    convolutions: tuple[int, ...] = (2,) * 6
    decoder_convolutions: tuple[int, ...] = (2,) * 5

    def depths(self) -> dict[str, int]:
        """One a level going down, one a level going up."""
        return {"convolutions": len(self.features), "decoder_convolutions": len(self.features) - 1}

    def depth_arguments(self) -> dict[str, list[int]]:
        """By the library's names."""
        return {
            "n_conv_per_stage": list(self.convolutions),
            "n_conv_per_stage_decoder": list(self.decoder_convolutions),
        }
