"""Training a classifier of whole scans: the loss, and the AUROC that validations watch."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional

from selfscan.class_metrics import METRICS, Classes
from selfscan.methods.method import Outcome
from selfscan.scans.crops import Batch
from selfscan.scans.store import Store
from selfscan.training.classifier import Classifier, classify_volume
from selfscan.training.segmentation import Size
from selfscan.training.supervision import Supervision
from selfscan.transforms.augmentation import AugmentationConfig


class SupervisedClassification(Supervision):
    """A classifier as the loop trains it.

    The logits of the crops of an example are averaged, as those of windows are later. The loss is
    their cross-entropy, in float32, times N / (K * scans of the class): classes count alike,
    whatever the number of their scans, and the mean weight is 1.

    Args:
        classifier: What is trained.
        classes: The class of each of the N scans of the store, shape (N,); all K occur.
        spacings: As `Supervision` has it, and so are the others.
        augmentation: How crops are changed.
        frozen: Parameters that stay as they are at first.
        freeze_steps: For so many steps.
        seed: Of the augmentation.
    """

    classes: Tensor
    weights: Tensor

    def __init__(
        self,
        classifier: Classifier,
        *,
        classes: Classes,
        spacings: Tensor,
        augmentation: AugmentationConfig,
        frozen: Collection[nn.Parameter],
        freeze_steps: int,
        seed: int,
    ) -> None:
        super().__init__(
            classifier,
            spacings=spacings,
            augmentation=augmentation,
            frozen=frozen,
            freeze_steps=freeze_steps,
            seed=seed,
        )
        self.classifier = classifier
        counts = np.bincount(classes, minlength=len(classifier.label_names))
        weights = torch.from_numpy(len(classes) / (len(counts) * counts)).float()
        self.register_buffer("classes", torch.from_numpy(classes), persistent=False)
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, batch: Batch) -> Outcome:
        """Augment the crops of a batch, classify them, and compare with the classes of scans."""
        volumes, _ = self.changed(batch, None, window_hu=self.classifier.window_hu)
        logits = self.classifier(volumes).unflatten(0, batch.volumes.shape[:2])
        with torch.autocast(logits.device.type, enabled=False):
            classes = self.classes[batch.scans[:, 0]]
            entropy = functional.cross_entropy(logits.float().mean(1), classes, reduction="none")
            return Outcome({"cross_entropy": (entropy * self.weights[classes]).mean()})


def class_probabilities_of(
    classifier: Classifier, store: Store, *, crop_size: Size, overlap: float, fabric: Fabric
) -> Tensor:
    """The probability of each class of each scan, (N, K), on every rank; ranks share the scans.

    Args:
        classifier: In evaluation mode, on the device of `fabric`.
        store: N scans.
        crop_size: The size of a window, in voxels.
        overlap: Share of a window that its neighbor covers too.
        fabric: Launched.
    """
    found = torch.zeros(len(store), len(classifier.label_names), dtype=torch.float64)
    for i in range(fabric.global_rank, len(store), fabric.world_size):
        found[i] = torch.from_numpy(
            classify_volume(
                classifier,
                store.read(i),
                store.read_foreground(i),
                store[i].hounsfield,
                crop_size=crop_size,
                overlap=overlap,
                device=fabric.device,
            )
        )
    if fabric.world_size > 1:
        found = torch.as_tensor(fabric.all_reduce(found.to(fabric.device), reduce_op="sum")).cpu()
    return found


def validation_scores(
    classifier: Classifier,
    store: Store | None,
    classes: Classes,
    *,
    crop_size: Size,
    overlap: float,
    fabric: Fabric,
) -> dict[str, float]:
    """Classify whole scans: `auroc`, `balanced_accuracy` and `cross_entropy`.

    All are NaN without scans, and the first two where a class has no scan.

    Args:
        classifier: In evaluation mode.
        store: N labelled scans; None where there are none.
        classes: Their classes, (N,).
        crop_size: The size of a window, in voxels.
        overlap: Share of a window that its neighbor covers too.
        fabric: Launched.
    """
    if store is None:
        return dict.fromkeys(("auroc", "balanced_accuracy", "cross_entropy"), float("nan"))
    found = class_probabilities_of(
        classifier, store, crop_size=crop_size, overlap=overlap, fabric=fabric
    ).numpy()
    once = np.ones((1, len(classes)))
    scores = {
        name.lower().replace(" ", "_"): float(metric(classes, found, once)[0])
        for name, metric in METRICS.items()
    }
    right = found[np.arange(len(classes)), classes].clip(min=1e-12)
    return scores | {"cross_entropy": float(-np.log(right).mean())}
