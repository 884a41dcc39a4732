"""What a comparison consists of: arms, labelled subsets, seeds; a cell for each combination."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Literal

from selfscan.evaluation.classify_recipe import ClassifyRecipe
from selfscan.evaluation.measures import Measure, measure_of
from selfscan.evaluation.statistics import LONG, RANDOM, SCRATCH, baseline_of
from selfscan.networks.backbone import BackboneConfig, Part
from selfscan.training.finetune import FinetuneRecipe, task_of
from selfscan.training.probe import ProbeRecipe
from selfscan.training.tasks import Task

Protocol = Literal["finetune", "linear", "nonlinear", "knn"]


@dataclass(frozen=True)
class Arm:
    """One way to start: from random weights, or from a checkpoint.

    Attributes:
        name: As tables and folders show it.
        checkpoint: The checkpoint's file; None from scratch.
        digest: SHA-256 of that file.
        extra_steps: Steps of fine-tuning beyond those of the recipe.
    """

    name: str
    checkpoint: Path | None = None
    digest: str = ""
    extra_steps: int = 0


@dataclass(frozen=True)
class Cell:
    """One fine-tuning run, or one probe, and its test scores.

    Attributes:
        arm: How the network starts.
        labels: Number of labelled cases.
        seed: Of the head's weights, the crops and the augmentation.
        learning_rate: Peak learning rate of fine-tuning.
        folder: Where it lives, below the comparison's folder.
        protocol: What is done with the network.
    """

    arm: Arm
    labels: int
    seed: int
    learning_rate: float
    folder: Path
    protocol: Protocol = "finetune"

    def __str__(self) -> str:
        if self.protocol != "finetune":
            return f"{self.arm.name}, {self.protocol} probe, {self.labels} labels, seed {self.seed}"
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
        protocols: What is done with each network: it is fine-tuned, or a head is fitted on its
            frozen features.
        probe: How heads are fitted on frozen features.
        part: What of the networks gives frozen features, the same in every arm.
        test_split: The split of the test cases.
        classes: The table of the classes of scans; None where voxels are labelled.
        classes_digest: SHA-256 of that file.
        classifying: How scans are embedded by frozen features, and heads fitted to them.
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
    protocols: tuple[Protocol, ...] = ("finetune",)
    probe: ProbeRecipe = field(default_factory=ProbeRecipe)
    part: Part = "backbone"
    test_split: str = "test"
    classes: Path | None = None
    classes_digest: str = ""
    classifying: ClassifyRecipe = field(default_factory=ClassifyRecipe)

    @property
    def task(self) -> Task:
        """What models are trained for."""
        return task_of(self.classes)

    @property
    def measure(self) -> Measure:
        """What arms are compared by."""
        return measure_of(self.classes)

    def arms_of(self, protocol: Protocol) -> tuple[Arm, ...]:
        """The arms of a protocol: probes look at random weights, and nothing is trained longer."""
        if protocol == "finetune":
            return self.arms
        arms = [arm for arm in self.arms if arm.name != LONG]
        return tuple(Arm(RANDOM) if arm.name == SCRATCH else arm for arm in arms)

    @property
    def baseline(self) -> str | None:
        """The arm that the others are measured against, if there is one and another."""
        return baseline_of([arm.name for arm in self.arms])

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
        """One cell of fine-tuning; with a chosen learning rate its folder says so."""
        folder = Path("cells") / arm.name / f"labels-{labels}" / f"seed-{seed}"
        if rate is None:
            return Cell(arm, labels, seed, self.recipe.optimizer.learning_rate, folder)
        return Cell(arm, labels, seed, rate, folder / f"lr-{rate:g}")

    def probe_cell(self, protocol: Protocol, arm: Arm, labels: int, seed: int) -> Cell:
        """One cell of a probe."""
        folder = Path("probes") / protocol / arm.name / f"labels-{labels}" / f"seed-{seed}"
        return Cell(arm, labels, seed, 0.0, folder, protocol)

    def trials(self) -> list[Cell]:
        """The cells that only choose the learning rate of each arm.

        Training for longer takes over the rate of `scratch`.
        """
        arms = [arm for arm in self.arms if arm.name != LONG]
        return [
            self.cell(arm, self.trial_labels, self.seeds[0], rate)
            for arm, rate in product(
                arms if "finetune" in self.protocols else (), self.learning_rates
            )
        ]

    def cells(self, chosen: Mapping[str, float]) -> list[Cell]:
        """The cells to score, all arms of a seed, number of labels and protocol in turn.

        Args:
            chosen: The learning rate of each arm; empty keeps the recipe's.
        """
        rates = {LONG: chosen.get(SCRATCH), **chosen}
        return [
            self.cell(arm, labels, seed, rates.get(arm.name))
            if protocol == "finetune"
            else self.probe_cell(protocol, arm, labels, seed)
            for seed, labels, protocol in product(self.seeds, self.subsets, self.protocols)
            for arm in self.arms_of(protocol)
        ]
