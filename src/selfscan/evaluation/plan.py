"""What a comparison consists of: arms, labelled subsets, seeds; a cell for each combination."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from selfscan.evaluation.statistics import SCRATCH
from selfscan.networks.backbone import BackboneConfig
from selfscan.training.finetune import FinetuneRecipe


@dataclass(frozen=True)
class Arm:
    """One way to start: from random weights, or from a checkpoint.

    Attributes:
        name: As tables and folders show it.
        checkpoint: The checkpoint's file; None from scratch.
        digest: SHA-256 of that file.
    """

    name: str
    checkpoint: Path | None = None
    digest: str = ""


@dataclass(frozen=True)
class Cell:
    """One fine-tuning run and its test scores.

    Attributes:
        arm: How the network starts.
        labels: Number of labelled cases.
        seed: Of the head's weights, the crops and the augmentation.
        learning_rate: Peak learning rate.
        folder: Where it lives, below the comparison's folder.
    """

    arm: Arm
    labels: int
    seed: int
    learning_rate: float
    folder: Path

    def __str__(self) -> str:
        return (
            f"{self.arm.name}, {self.labels} labels, seed {self.seed}, "
            f"learning rate {self.learning_rate:g}"
        )


@dataclass(frozen=True)
class Plan:
    """Everything that decides the scores of a comparison.

    Attributes:
        store: The store's folder.
        store_digest: Which scans it held.
        arms: From scratch first, then in the order given.
        backbone: The network of every arm.
        window_hu: The window of CT for training from scratch; a checkpoint has its own.
        subsets: The labelled cases of each number of labels, smallest first.
        seeds: One run each.
        recipe: How every arm is fine-tuned; its crop size is set.
        learning_rates: To choose from for each arm; empty keeps the recipe's.
        train_split: Where the labelled cases come from.
        validation_split: Where the best step and the learning rate are chosen.
        test: The cases that are scored.
        tolerance_mm: Distance up to which surfaces count as equal, for NSD.
    """

    store: Path
    store_digest: str
    arms: tuple[Arm, ...]
    backbone: BackboneConfig
    window_hu: tuple[float, float]
    subsets: Mapping[int, tuple[str, ...]]
    seeds: tuple[int, ...]
    recipe: FinetuneRecipe
    learning_rates: tuple[float, ...]
    train_split: str
    validation_split: str | None
    test: tuple[str, ...]
    tolerance_mm: float

    @property
    def baseline(self) -> str | None:
        """The arm that the others are measured against, if there is one and another."""
        names = [arm.name for arm in self.arms]
        return SCRATCH if SCRATCH in names and len(names) > 1 else None

    @property
    def pictured(self) -> Arm:
        """The arm whose cases are shown: the first that is pre-trained, else from scratch."""
        return next((arm for arm in self.arms if arm.checkpoint), self.arms[0])

    @property
    def trial_labels(self) -> int:
        """The number of labels at which learning rates are tried: the middle one."""
        counts = list(self.subsets)
        return counts[(len(counts) - 1) // 2]

    def cell(self, arm: Arm, labels: int, seed: int, rate: float | None = None) -> Cell:
        """One cell; with a chosen learning rate its folder says so."""
        folder = Path("cells") / arm.name / f"labels-{labels}" / f"seed-{seed}"
        if rate is None:
            return Cell(arm, labels, seed, self.recipe.optimizer.learning_rate, folder)
        return Cell(arm, labels, seed, rate, folder / f"lr-{rate:g}")

    def trials(self) -> list[Cell]:
        """The cells that only choose the learning rate of each arm."""
        return [
            self.cell(arm, self.trial_labels, self.seeds[0], rate)
            for arm, rate in product(self.arms, self.learning_rates)
        ]

    def cells(self, chosen: Mapping[str, float]) -> list[Cell]:
        """The cells to score, all arms of a seed and number of labels in turn.

        Args:
            chosen: The learning rate of each arm; empty keeps the recipe's.
        """
        return [
            self.cell(arm, labels, seed, chosen.get(arm.name))
            for seed, labels, arm in product(self.seeds, self.subsets, self.arms)
        ]
