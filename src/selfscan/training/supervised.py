"""Training a segmenter on labelled crops: augmentation, the loss, staged unfreezing."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy.typing as npt
import torch
from lightning_fabric import Fabric
from monai.losses import DiceLoss
from torch import Tensor, nn
from torch.nn import functional

from selfscan.errors import SelfscanError
from selfscan.losses.dice_bce import dice_bce
from selfscan.methods.method import Outcome
from selfscan.scans.crops import Batch
from selfscan.scans.store import Store
from selfscan.training.finetune_recipe import Loss
from selfscan.training.mean_dice import mean_dice
from selfscan.training.segmentation import Segmenter, Size, segment_volume
from selfscan.training.wrapped import Trainable
from selfscan.transforms.augmentation import (
    AugmentationConfig,
    apply_augmentation,
    draw_augmentation,
)
from selfscan.transforms.intensity import to_unit
from selfscan.transforms.random import KeyedGenerator


class SupervisedSegmentation(Trainable):
    """A segmenter as the loop trains it.

    The loss `softmax` is soft Dice over the foreground classes, each pooled over the batch, plus
    the cross-entropy of all classes: MONAI's `DiceCELoss(include_background=False, batch=True)`,
    in float32. The background is left out of Dice as its score is near 1 whatever is learned;
    pooling keeps a crop without a class from counting as a failure. The loss `sigmoid` is
    `dice_bce` of each class, background included, by itself.

    Args:
        segmenter: What is trained.
        spacings: Size of a voxel of each scan of the store in mm, shape (scans, 3).
        augmentation: How crops are changed.
        loss: `softmax` or `sigmoid`.
        frozen: Parameters that the optimizer leaves alone at first; the norm layers that own them
            are in evaluation mode meanwhile, so that their running statistics stay too.
        freeze_steps: For so many steps.
        seed: Of the augmentation.
    """

    spacings: Tensor
    step: Tensor

    def __init__(
        self,
        segmenter: Segmenter,
        *,
        spacings: Tensor,
        augmentation: AugmentationConfig,
        loss: Loss,
        frozen: Collection[nn.Parameter],
        freeze_steps: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.segmenter = segmenter
        self.augmentation, self.loss = augmentation, loss
        self.freeze_steps, self.seed = freeze_steps, seed
        self.register_buffer("spacings", spacings.float(), persistent=False)
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        self._dice = DiceLoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)
        chosen = {id(parameter) for parameter in frozen}
        self._frozen_layers = [
            layer
            for layer in segmenter.modules()
            if any(id(parameter) in chosen for parameter in layer.parameters(recurse=False))
        ]

    def forward(self, batch: Batch) -> Outcome:
        """Augment the crops of a batch, segment them, and compare with their labels."""
        volumes, labels = self.augmented(batch)
        logits = self.segmenter(volumes)
        with torch.autocast(logits.device.type, enabled=False):
            dice, entropy = self._compare(logits.float(), labels)
            return Outcome({"dice": dice, "cross_entropy": entropy})

    def _compare(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Dice and cross-entropy of logits (B, K, X, Y, Z) against labels (B, X, Y, Z)."""
        if self.loss == "sigmoid":
            members = functional.one_hot(labels, logits.shape[1]).movedim(-1, 1)
            return dice_bce(logits, members)
        return self._dice(logits, labels[:, None]), functional.cross_entropy(logits, labels)

    @torch.no_grad()
    def augmented(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The crops as the network sees them, (B, C, X, Y, Z) in [0, 1], and their labels."""
        if batch.labels is None:
            raise SelfscanError("found a batch without labels; expected labelled crops")
        volumes = to_unit(
            batch.volumes[:, 0], batch.hounsfield[:, 0], window_hu=self.segmenter.window_hu
        )
        random = KeyedGenerator.for_examples(self.seed, batch.examples)
        drawn = draw_augmentation(random, tuple(volumes.shape[1:]), self.augmentation)
        spacing = self.spacings[batch.scans[:, 0]]
        return apply_augmentation(volumes, batch.labels[:, 0], spacing, drawn)

    def after_step(self, step: int) -> None:
        """Count steps, as the state of a run keeps them, and let frozen layers go in time."""
        self.step.fill_(step)
        if step == self.freeze_steps:
            self.train()

    def train(self, mode: bool = True) -> SupervisedSegmentation:
        """Go into training mode, but for layers that are still frozen."""
        super().train(mode)
        if mode and int(self.step) < self.freeze_steps:
            for layer in self._frozen_layers:
                layer.eval()
        return self


def validation_dice(
    segmenter: Segmenter, store: Store | None, *, crop_size: Size, overlap: float, fabric: Fabric
) -> dict[str, float]:
    """Segment whole scans by sliding windows: mean Dice over classes, then over scans.

    Args:
        segmenter: In evaluation mode.
        store: Labelled scans; None where there are none.
        crop_size: The size of a window, in voxels.
        overlap: Share of a window that its neighbor covers too.
        fabric: Launched.

    Returns:
        `dice` for the mean, and `dice/NAME` of each class; NaN where nothing has a score.
    """

    def segment(i: int) -> npt.NDArray[Any]:
        assert store is not None
        probabilities = segment_volume(
            segmenter,
            store.read(i),
            store[i].hounsfield,
            crop_size=crop_size,
            overlap=overlap,
            device=fabric.device,
        )
        labels: npt.NDArray[Any] = probabilities.argmax(0)
        return labels

    return mean_dice(segment, store, label_names=segmenter.label_names, fabric=fabric)
