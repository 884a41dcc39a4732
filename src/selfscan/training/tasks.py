"""What a model is trained for: voxels to label, or whole scans to classify.

A task says which scans can teach it, what the model is, which crops it learns from and by which
loss, and which number chooses the best checkpoint. How training goes is the same for both.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn

from selfscan.checkpoints import checkpoint
from selfscan.errors import SelfscanError
from selfscan.networks.backbone import Backbone, Part
from selfscan.scans.crops import CropDataset, CropPolicy, ForegroundCrops, LabelCrops, collate
from selfscan.scans.store import Store
from selfscan.training.case_table import CaseTable
from selfscan.training.classifier import Classifier
from selfscan.training.finetune_recipe import FinetuneRecipe
from selfscan.training.segmentation import Segmenter, Size
from selfscan.training.start import labelled_cases, labelled_split
from selfscan.training.supervised import SupervisedSegmentation, validation_dice
from selfscan.training.supervised_classes import SupervisedClassification, validation_scores
from selfscan.training.supervision import Supervision
from selfscan.transforms.intensity import to_unit

Model = Segmenter | Classifier
_STANDARDIZED = 16  # examples whose means are looked at before a classifier trains


class Task(ABC):
    """What a model is trained for.

    Attributes:
        name: As checkpoints have it.
        select: The validation value that chooses the best checkpoint; more of it is better.
        quality: What people call this value.
        part: What of the backbone is trained.
        with_labels: Whether label maps are read.
    """

    name: ClassVar[checkpoint.Task]
    select: ClassVar[str]
    quality: ClassVar[str]
    part: ClassVar[Part]
    with_labels: ClassVar[bool]

    @abstractmethod
    def check(self, recipe: FinetuneRecipe) -> None:
        """Refuse what a recipe asks for in vain.

        Raises:
            ValueError: A field that only the other task knows differs from its default.
        """

    @abstractmethod
    def cases(self, store: Store, split: str, cases: int | Sequence[str] | None) -> Store:
        """The scans of a split to learn from: all, the first so many in a fixed order, or these.

        Raises:
            SelfscanError: They cannot teach the task.
        """

    @abstractmethod
    def validation(self, store: Store, split: str | None) -> Store | None:
        """The scans of a split that the task can be validated on; None where there are none."""

    @abstractmethod
    def can_choose(self, store: Store, split: str | None) -> bool:
        """Whether the scans of a split can say which of two models is better."""

    @abstractmethod
    def label_names(self, store: Store) -> dict[int, str]:
        """The names of what is told apart, by number from 0.

        Raises:
            SelfscanError: There is nothing to tell apart.
        """

    @abstractmethod
    def model(
        self, backbone: Backbone, label_names: dict[int, str], *, window_hu: tuple[float, float]
    ) -> Model:
        """The model on a backbone, its head random."""

    @abstractmethod
    def crops(self, size: Size, recipe: FinetuneRecipe) -> CropPolicy:
        """The crops of an example."""

    @abstractmethod
    def trainable(
        self,
        model: Any,
        dataset: CropDataset,
        recipe: FinetuneRecipe,
        *,
        frozen: Collection[nn.Parameter],
        seed: int,
    ) -> Supervision:
        """The model as the loop trains it on these crops, with `frozen` left alone at first."""

    @abstractmethod
    def validate(
        self, model: Any, store: Store | None, *, crop_size: Size, overlap: float, fabric: Fabric
    ) -> dict[str, float]:
        """Named scores of a model in evaluation mode, `select` among them."""


class SegmentationTask(Task):
    """Label voxels as the store's label maps do."""

    name = "segmentation"
    select, quality = "dice", "validation Dice"
    part: ClassVar[Part] = "backbone"
    with_labels = True

    def check(self, recipe: FinetuneRecipe) -> None:
        """Several crops of a scan make sense for its class alone."""
        _require_default(recipe, ("crops_per_scan",), of="classification, which has a table")

    def cases(self, store: Store, split: str, cases: int | Sequence[str] | None) -> Store:
        """Labelled scans."""
        return labelled_cases(store, split, cases)

    def validation(self, store: Store, split: str | None) -> Store | None:
        """Labelled scans."""
        return labelled_split(store, split)

    def can_choose(self, store: Store, split: str | None) -> bool:
        """Any labelled scan can."""
        return self.validation(store, split) is not None

    def label_names(self, store: Store) -> dict[int, str]:
        """Those of the store's labels, the background first."""
        if len(store.label_names) < 2:
            raise SelfscanError(
                f"found label names {store.label_names}; expected the background and one class at "
                "least; prepare the store with labels"
            )
        return store.label_names

    def model(
        self, backbone: Backbone, label_names: dict[int, str], *, window_hu: tuple[float, float]
    ) -> Segmenter:
        """A segmenter."""
        return Segmenter(backbone, label_names=label_names, window_hu=window_hu)

    def crops(self, size: Size, recipe: FinetuneRecipe) -> CropPolicy:
        """One crop, around a label or anywhere."""
        return LabelCrops(size, recipe.foreground_share)

    def trainable(
        self,
        model: Segmenter,
        dataset: CropDataset,
        recipe: FinetuneRecipe,
        *,
        frozen: Collection[nn.Parameter],
        seed: int,
    ) -> SupervisedSegmentation:
        """By Dice and cross-entropy."""
        return SupervisedSegmentation(
            model,
            spacings=_spacings(dataset.store),
            augmentation=recipe.augmentation,
            loss=recipe.loss,
            frozen=frozen,
            freeze_steps=recipe.freeze_steps if frozen else 0,
            seed=seed,
        )

    def validate(
        self,
        model: Segmenter,
        store: Store | None,
        *,
        crop_size: Size,
        overlap: float,
        fabric: Fabric,
    ) -> dict[str, float]:
        """Dice of whole scans."""
        return validation_dice(model, store, crop_size=crop_size, overlap=overlap, fabric=fabric)


class ClassificationTask(Task):
    """Tell the classes of whole scans, as a table has them.

    Args:
        table: The classes of scans.
    """

    name = "classification"
    select, quality = "auroc", "validation AUROC"
    part: ClassVar[Part] = "encoder"
    with_labels = False

    def __init__(self, table: CaseTable) -> None:
        self.table = table

    def check(self, recipe: FinetuneRecipe) -> None:
        """Neither labels of voxels nor their losses play a part."""
        _require_default(recipe, ("foreground_share", "loss"), of="segmentation")

    def cases(self, store: Store, split: str, cases: int | Sequence[str] | None) -> Store:
        """Scans of the table, each class among them; subsets take the classes in turn."""
        return self.table.select(store, split, cases=cases)

    def validation(self, store: Store, split: str | None) -> Store | None:
        """Scans of the table, whichever classes they have."""
        return None if split is None else self.table.among(store, split)

    def can_choose(self, store: Store, split: str | None) -> bool:
        """Scans of every class can; else there is no AUROC."""
        found = self.validation(store, split)
        return found is not None and len(set(self.table.classes(found))) == len(self.table.names)

    def label_names(self, store: Store) -> dict[int, str]:
        """Those of the table."""
        return dict(enumerate(self.table.names))

    def model(
        self, backbone: Backbone, label_names: dict[int, str], *, window_hu: tuple[float, float]
    ) -> Classifier:
        """A classifier."""
        return Classifier(backbone, label_names=label_names, window_hu=window_hu)

    def crops(self, size: Size, recipe: FinetuneRecipe) -> CropPolicy:
        """Crops of a scan around voxels of its body."""
        return ForegroundCrops(size, recipe.crops_per_scan)

    def trainable(
        self,
        model: Classifier,
        dataset: CropDataset,
        recipe: FinetuneRecipe,
        *,
        frozen: Collection[nn.Parameter],
        seed: int,
    ) -> SupervisedClassification:
        """By cross-entropy, classes counting alike, from means standardized over first crops."""
        first = [collate([dataset[i]]) for i in range(min(_STANDARDIZED, len(dataset)))]
        model.standardize(
            to_unit(batch.volumes[0], batch.hounsfield[0], window_hu=model.window_hu)
            for batch in first
        )
        return SupervisedClassification(
            model,
            classes=self.table.classes(dataset.store),
            spacings=_spacings(dataset.store),
            augmentation=recipe.augmentation,
            frozen=frozen,
            freeze_steps=recipe.freeze_steps if frozen else 0,
            seed=seed,
        )

    def validate(
        self,
        model: Classifier,
        store: Store | None,
        *,
        crop_size: Size,
        overlap: float,
        fabric: Fabric,
    ) -> dict[str, float]:
        """AUROC of whole scans."""
        classes = self.table.classes(store) if store else np.empty(0, dtype=np.int64)
        return validation_scores(
            model, store, classes, crop_size=crop_size, overlap=overlap, fabric=fabric
        )


def _spacings(store: Store) -> torch.Tensor:
    return torch.tensor([record.spacing for record in store])


def _require_default(recipe: FinetuneRecipe, names: Sequence[str], *, of: str) -> None:
    usual = FinetuneRecipe()
    for name in names:
        if (found := getattr(recipe, name)) != getattr(usual, name):
            raise ValueError(f"recipe.{name} is of {of}; leave it out here, got {found!r}")
