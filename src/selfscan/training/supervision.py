"""What training on labelled crops shares: augmentation, and layers that stay frozen at first."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeVar

import torch
from torch import Tensor, nn

from selfscan.scans.crops import Batch
from selfscan.training.wrapped import Trainable
from selfscan.transforms.augmentation import (
    AugmentationConfig,
    apply_augmentation,
    draw_augmentation,
)
from selfscan.transforms.intensity import to_unit
from selfscan.transforms.random import KeyedGenerator

_Self = TypeVar("_Self", bound="Supervision")


class Supervision(Trainable):
    """A model as the loop trains it on labelled crops; what it minimizes is for others to say.

    Args:
        model: What is trained.
        spacings: Size of a voxel of each scan of the store in mm, shape (scans, 3).
        augmentation: How crops are changed.
        frozen: Parameters that the optimizer leaves alone at first; the norm layers that own them
            are in evaluation mode meanwhile, so that their running statistics stay too.
        freeze_steps: For so many steps.
        seed: Of the augmentation.
    """

    spacings: Tensor
    step: Tensor

    def __init__(
        self,
        model: nn.Module,
        *,
        spacings: Tensor,
        augmentation: AugmentationConfig,
        frozen: Collection[nn.Parameter],
        freeze_steps: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.augmentation, self.freeze_steps, self.seed = augmentation, freeze_steps, seed
        self.register_buffer("spacings", spacings.float(), persistent=False)
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        chosen = {id(parameter) for parameter in frozen}
        self._frozen_layers = [
            layer
            for layer in model.modules()
            if any(id(parameter) in chosen for parameter in layer.parameters(recurse=False))
        ]

    @torch.no_grad()
    def changed(
        self, batch: Batch, labels: Tensor | None, *, window_hu: tuple[float, float]
    ) -> tuple[Tensor, Tensor | None]:
        """Augment the B x K crops of a batch, each with draws of its own.

        Args:
            batch: B examples of K crops.
            labels: Their label maps (B * K, X, Y, Z), to be changed alike; None where there are
                none.
            window_hu: The window of CT channels.

        Returns:
            The crops as the network sees them, (B * K, C, X, Y, Z) in [0, 1], and their labels.
        """
        crops = batch.volumes.shape[1]
        volumes = to_unit(
            batch.volumes.flatten(0, 1), batch.hounsfield.flatten(0, 1), window_hu=window_hu
        )
        numbers = batch.examples[:, None] * crops + torch.arange(crops, device=volumes.device)
        random = KeyedGenerator.for_examples(self.seed, numbers.flatten())
        drawn = draw_augmentation(random, tuple(volumes.shape[1:]), self.augmentation)
        spacing = self.spacings[batch.scans.flatten()]
        return apply_augmentation(volumes, labels, spacing, drawn)

    def after_step(self, step: int) -> None:
        """Count steps, as the state of a run keeps them, and let frozen layers go in time."""
        self.step.fill_(step)
        if step == self.freeze_steps:
            self.train()

    def train(self: _Self, mode: bool = True) -> _Self:
        """Go into training mode, but for layers that are still frozen."""
        super().train(mode)
        if mode and int(self.step) < self.freeze_steps:
            for layer in self._frozen_layers:
                layer.eval()
        return self
