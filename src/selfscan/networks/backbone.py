"""What every backbone promises: features as two pyramids, fine to coarse, of known size."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

Stride = tuple[int, int, int]
Part = Literal["backbone", "encoder"]


@dataclass(frozen=True)
class Pyramid:
    """The levels of a feature pyramid, fine to coarse.

    Attributes:
        channels: Channels of each level.
        strides: Input voxels to one feature cell along (X, Y, Z), for each level.
    """

    channels: tuple[int, ...] = ()
    strides: tuple[Stride, ...] = ()

    def __post_init__(self) -> None:
        """Check that there is one stride a level."""
        if len(self.channels) != len(self.strides):
            raise ValueError(
                f"a pyramid needs one stride a level, got {len(self.channels)} channels "
                f"and {len(self.strides)} strides"
            )

    def __len__(self) -> int:
        """The number of levels."""
        return len(self.channels)


@dataclass(frozen=True)
class Features:
    """What a backbone computes, each level of shape (B, C, X/stride, Y/stride, Z/stride).

    Attributes:
        encoder: The encoder's maps, fine to coarse.
        decoder: The decoder's maps, fine to coarse; empty where there is no decoder.
    """

    encoder: tuple[Tensor, ...]
    decoder: tuple[Tensor, ...] = ()

    @property
    def dense(self) -> tuple[Tensor, ...]:
        """The pyramid that describes single voxels best: the decoder's, else the encoder's."""
        return self.decoder or self.encoder


class Backbone(nn.Module, ABC):
    """A 3D network from volumes (B, C, X, Y, Z) to `Features`.

    `forward` computes the encoder's pyramid by `encode`, where `watched` looks on.

    Attributes:
        in_channels: Channels of the volumes.
        encoder_pyramid: Sizes of `Features.encoder`.
        decoder_pyramid: Sizes of `Features.decoder`; no levels where there is no decoder.
        divisor: Each axis of the input must be divisible by this, in voxels.
        normalizes_cells: Whether the coarsest level passes an instance norm, for which one cell is
            not enough.
        mixes_batch: Whether the features of a volume depend on the others in its batch, in
            evaluation too.
    """

    in_channels: int
    encoder_pyramid: Pyramid
    decoder_pyramid: Pyramid
    divisor: Stride
    normalizes_cells: bool = False
    mixes_batch: bool = False

    @abstractmethod
    def forward(self, volumes: Tensor) -> Features:
        """Compute both pyramids of volumes (B, C, X, Y, Z)."""

    @abstractmethod
    def encode(self, volumes: Tensor) -> tuple[Tensor, ...]:
        """Compute the encoder's pyramid only."""

    @abstractmethod
    def encoder_parameters(self) -> list[nn.Parameter]:
        """The parameters that `encode` uses, as staged unfreezing and partial loading need."""

    @contextmanager
    def watched(self) -> Iterator[list[Tensor]]:
        """Within, the coarsest map of the encoder is added to a list at each pass.

        So an auxiliary objective sees the features of a method's own passes, with their gradients,
        and the method never learns of it. Nothing is computed twice, and nothing else changes.
        """
        seen: list[Tensor] = []
        encode = self.encode

        def watched_encode(volumes: Tensor) -> tuple[Tensor, ...]:
            levels = encode(volumes)
            seen.append(levels[-1])
            return levels

        # An attribute of this network hides the method of its class until it is deleted.
        self.__dict__["encode"] = watched_encode
        try:
            yield seen
        finally:
            del self.__dict__["encode"]

    def check(self, volumes: Tensor) -> None:
        """Refuse volumes that do not fit.

        Raises:
            ValueError: They are not (B, in_channels, X, Y, Z), or an axis is not divisible by
                `divisor`.
        """
        shape = tuple(volumes.shape)
        if len(shape) != 5 or shape[1] != self.in_channels:
            raise ValueError(
                f"expected volumes of shape (B, {self.in_channels}, X, Y, Z), got {shape}"
            )
        self.check_size(shape[2:])

    def check_size(self, size: tuple[int, ...]) -> None:
        """Refuse a size of crops that does not fit.

        Raises:
            ValueError: An axis has no voxel, or is not divisible by `divisor`, or the coarsest
                level is one cell where `normalizes_cells` forbids that.
        """
        if any(n < 1 or n % d for n, d in zip(size, self.divisor, strict=True)):
            raise ValueError(
                f"crop_size must be divisible by {self.divisor} for {type(self).__name__}, "
                f"got {size}"
            )
        if self.normalizes_cells and tuple(size) == tuple(self.divisor):
            raise ValueError(
                f"crop_size must be more than {self.divisor} along one axis at least for "
                f"{type(self).__name__}, got {size}"
            )

    @property
    def dense_pyramid(self) -> Pyramid:
        """Sizes of `Features.dense`."""
        return self.decoder_pyramid if len(self.decoder_pyramid) else self.encoder_pyramid


@dataclass(frozen=True)
class BackboneConfig(ABC):
    """The arguments that rebuild a backbone.

    Attributes:
        name: The backbone's name on the command line.
        presets: Class methods that give other sizes.
    """

    name: ClassVar[str]
    presets: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def build(self, in_channels: int) -> Backbone:
        """The network, randomly initialized, for volumes of so many channels."""
