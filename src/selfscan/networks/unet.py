"""What 3D U-Nets have in common: stages down with pooling between them, stages up on skips."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from selfscan.networks.backbone import Backbone, Features


class UNet(Backbone):
    """Halves the axes and computes a stage, level by level; then the same way back up.

    The coarsest level of both pyramids is the bottleneck.

    Args:
        in_channels: Channels of the volumes.
        gradient_checkpointing: Compute the inside of each stage again in the backward pass instead
            of keeping it: less memory, about a third more time, the same gradients.

    Attributes:
        down: The stages of the encoder, fine to coarse.
        merges: The stages of the decoder, fine to coarse: the first is the last to run.
    """

    down: nn.ModuleList
    merges: nn.ModuleList

    def __init__(self, in_channels: int, *, gradient_checkpointing: bool) -> None:
        super().__init__()
        if in_channels < 1:
            raise ValueError(f"in_channels must be at least 1, got {in_channels}")
        self.in_channels = in_channels
        self.gradient_checkpointing = gradient_checkpointing
        self.pool = nn.MaxPool3d(2)

    @abstractmethod
    def join(self, level: int, skip: Tensor, below: Tensor) -> Tensor:
        """Enlarge the map below a level and join it with the level's own: what its stage gets."""

    def forward(self, volumes: Tensor) -> Features:
        """Compute both pyramids of volumes (B, C, X, Y, Z), axes divisible by `divisor`.

        Raises:
            ValueError: The channels are not `in_channels`, or an axis is not divisible.
        """
        encoder = self.encode(volumes)
        decoder = [encoder[-1]]
        for level in reversed(range(len(self.merges))):
            joined = self.join(level, encoder[level], decoder[-1])
            decoder.append(self._run(self.merges[level], joined))
        return Features(encoder=encoder, decoder=tuple(reversed(decoder)))

    def encode(self, volumes: Tensor) -> tuple[Tensor, ...]:
        """Compute the levels of the encoder, fine to coarse."""
        self.check(volumes)
        levels = [self._run(self.down[0], volumes)]
        for stage in self.down[1:]:
            levels.append(self._run(stage, self.pool(levels[-1])))
        return tuple(levels)

    def encoder_parameters(self) -> list[nn.Parameter]:
        """The parameters of the stages that go down."""
        return list(self.down.parameters())

    def _run(self, stage: nn.Module, features: Tensor) -> Tensor:
        if self.gradient_checkpointing and torch.is_grad_enabled():
            again: Tensor = checkpoint(stage, features, use_reentrant=False)
            return again
        result: Tensor = stage(features)
        return result
