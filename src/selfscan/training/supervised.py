"""Training a segmenter on labelled crops: the loss, and the Dice that validations watch."""

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
from selfscan.training.supervision import Supervision
from selfscan.transforms.augmentation import AugmentationConfig


class SupervisedSegmentation(Supervision):
    """A segmenter as the loop trains it.

    The loss `softmax` is soft Dice over the foreground classes, each pooled over the batch, plus
    the cross-entropy of all classes: MONAI's `DiceCELoss(include_background=False, batch=True)`,
    in float32. The background is left out of Dice as its score is near 1 whatever is learned;
    pooling keeps a crop without a class from counting as a failure. The loss `sigmoid` is
    `dice_bce` of each class, background included, by itself.

    Args:
        segmenter: What is trained.
        spacings: As `Supervision` has it, and so are the others.
        augmentation: How crops are changed.
        loss: `softmax` or `sigmoid`.
        frozen: Parameters that stay as they are at first.
        freeze_steps: For so many steps.
        seed: Of the augmentation.
    """

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
        super().__init__(
            segmenter,
            spacings=spacings,
            augmentation=augmentation,
            frozen=frozen,
            freeze_steps=freeze_steps,
            seed=seed,
        )
        self.segmenter, self.loss = segmenter, loss
        self._dice = DiceLoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)

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

    def augmented(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The crops as the network sees them, (B, C, X, Y, Z) in [0, 1], and their labels."""
        if batch.labels is None:
            raise SelfscanError("found a batch without labels; expected labelled crops")
        window_hu = self.segmenter.window_hu
        volumes, labels = self.changed(batch, batch.labels.flatten(0, 1), window_hu=window_hu)
        assert labels is not None
        return volumes, labels


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
