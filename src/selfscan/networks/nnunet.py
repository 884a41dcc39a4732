"""The U-Nets that nnU-Net trains, residual encoder and plain, from the library that it uses."""

from __future__ import annotations

import math
import re
from abc import abstractmethod
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from selfscan.extras import optional
from selfscan.networks.backbone import Backbone, BackboneConfig, Features, Pyramid, Stride

NORM_EPSILON = 1e-5
FEATURES = (32, 64, 128, 256, 320, 320)
_CUBE = (3, 3, 3)
_STRIDES = ((1, 1, 1), *((2, 2, 2),) * 5)


class NNUNet(Backbone):
    """A U-Net of nnU-Net without its output layers.

    Convolutions, instance norm and leaky ReLU; strided convolutions lead down, transposed ones up.
    The coarsest level of both pyramids is the bottleneck. In the state dictionary each weight
    stands once, by one of the two to four names that nnU-Net's own dictionaries have for it.

    Source: Isensee et al., "nnU-Net", Nature Methods 2021; "nnU-Net Revisited", MICCAI 2024. The
    layers are those of the package dynamic-network-architectures.

    Args:
        network: A network of that package; this one takes over its layers.
        in_channels: Channels of the volumes.
        features: Channels of each level, fine to coarse.
        strides: By how much each level shrinks the one above along (X, Y, Z).
    """

    normalizes_cells = True

    def __init__(
        self,
        network: Any,
        *,
        in_channels: int,
        features: tuple[int, ...],
        strides: tuple[Stride, ...],
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.encoder, self.decoder = network.encoder, network.decoder
        del self.decoder.encoder, self.decoder.seg_layers
        for layer in self.modules():
            if hasattr(layer, "all_modules"):  # a block, which names each of its layers twice
                for name in dict(layer.named_children()).keys() - {"all_modules"}:
                    delattr(layer, name)
        totals = tuple(accumulate(strides, lambda one, other: _product(one, other)))
        self.encoder_pyramid = self.decoder_pyramid = Pyramid(features, totals)
        self.divisor = totals[-1]

    def forward(self, volumes: Tensor) -> Features:
        """Compute both pyramids of volumes (B, C, X, Y, Z), axes divisible by `divisor`.

        Raises:
            ValueError: The channels are not `in_channels`, or the size does not fit.
        """
        encoder = self.encode(volumes)
        decoder = [encoder[-1]]
        ups = zip(
            self.decoder.transpconvs, self.decoder.stages, reversed(encoder[:-1]), strict=True
        )
        for up, stage, skip in ups:
            decoder.append(stage(torch.cat((up(decoder[-1]), skip), dim=1)))
        return Features(encoder=encoder, decoder=tuple(reversed(decoder)))

    def encode(self, volumes: Tensor) -> tuple[Tensor, ...]:
        """Compute the levels of the encoder, fine to coarse."""
        self.check(volumes)
        return tuple(self.encoder(volumes))

    def encoder_parameters(self) -> list[nn.Parameter]:
        """The parameters of the stem and of the stages that go down."""
        return list(self.encoder.parameters())


@dataclass(frozen=True)
class NNUNetConfig(BackboneConfig):
    """What both U-Nets of nnU-Net have in common; defaults are those of OpenMind's ResEnc-L.

    Attributes:
        features: Channels of each level, fine to coarse.
        strides: By how much each level shrinks the one above along (X, Y, Z).
        kernel_sizes: Edges of the convolutions of each level along (X, Y, Z), odd.
        bias: Whether convolutions have one.
    """

    architecture: ClassVar[str]
    features: tuple[int, ...] = FEATURES
    strides: tuple[Stride, ...] = _STRIDES
    kernel_sizes: tuple[Stride, ...] = (_CUBE,) * len(FEATURES)
    bias: bool = True

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        if len(self.features) < 2 or min(self.features) < 1:
            raise ValueError(
                f"features must be two numbers of at least 1, or more, got {self.features}"
            )
        for name, allowed in (
            ("strides", "numbers of at least 1"),
            ("kernel_sizes", "odd numbers"),
        ):
            values = getattr(self, name)
            fine = all(
                len(triple) == 3 and all(n >= 1 and (name == "strides" or n % 2) for n in triple)
                for triple in values
            )
            if len(values) != len(self.features) or not fine:
                raise ValueError(
                    f"{name} must be {len(self.features)} triples of {allowed}, one a level, "
                    f"got {values}"
                )
        for name, levels in self.depths().items():
            depths = getattr(self, name)
            if len(depths) != levels or min(depths) < 1:
                raise ValueError(
                    f"{name} must be {levels} numbers of at least 1, one a level, got {depths}"
                )

    @abstractmethod
    def depths(self) -> dict[str, int]:
        """The names of the fields that count layers a level, and how many levels each has."""

    @abstractmethod
    def depth_arguments(self) -> dict[str, list[int]]:
        """Those fields as the library's network takes them."""

    def arguments(self) -> dict[str, Any]:
        """What the library's network takes, but for channels and classes; axes are (X, Y, Z)."""
        return {
            "n_stages": len(self.features),
            "features_per_stage": list(self.features),
            "kernel_sizes": [list(edges) for edges in self.kernel_sizes],
            "strides": [list(stride) for stride in self.strides],
            **self.depth_arguments(),
            "conv_bias": self.bias,
            "norm_op_kwargs": {"eps": NORM_EPSILON, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin_kwargs": {"inplace": True},
        }

    def library_network(self, in_channels: int, *, classes: int = 1) -> Any:
        """The network as nnU-Net has it, output layers and all, with its initialization.

        Raises:
            SelfscanError: The library is not installed.
        """
        if in_channels < 1:
            raise ValueError(f"in_channels must be at least 1, got {in_channels}")
        unet = optional(
            "dynamic_network_architectures.architectures.unet",
            extra="nnunet",
            purpose=f"to build {self.name}",
            remedy="pip install --no-deps 'dynamic-network-architectures>=0.4.4' (without "
            "--no-deps it brings timm and torchvision, which nothing here needs)",
        )
        network = getattr(unet, self.architecture)(
            input_channels=in_channels,
            num_classes=classes,
            conv_op=nn.Conv3d,
            norm_op=nn.InstanceNorm3d,
            nonlin=nn.LeakyReLU,
            **self.arguments(),
        )
        return network.apply(network.initialize)

    def build(self, in_channels: int) -> NNUNet:
        """The network with nnU-Net's initialization."""
        return NNUNet(
            self.library_network(in_channels),
            in_channels=in_channels,
            features=self.features,
            strides=self.strides,
        )


def name_here(name: str) -> str:
    """The one name that a tensor has in `NNUNet`, by any of its names in nnU-Net's dictionaries."""
    name = name.removeprefix("decoder.") if name.startswith("decoder.encoder.") else name
    return re.sub(
        r"\.(conv|norm)\.(weight|bias)$",
        lambda found: f".all_modules.{int(found[1] == 'norm')}.{found[2]}",
        name,
    )


def _product(one: Stride, other: Stride) -> Stride:
    x, y, z = (math.prod(pair) for pair in zip(one, other, strict=True))
    return x, y, z
