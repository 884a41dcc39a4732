"""What a self-supervised method is: which crops, how they become views, what is learned."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from selfscan.networks.backbone import Backbone, BackboneConfig, Part
from selfscan.scans.crops import Batch, CropPolicy
from selfscan.transforms.random import KeyedGenerator

Views = Mapping[str, Tensor]


@dataclass(frozen=True)
class OptimizerConfig:
    """How weights move; a method's own default is the published one.

    Attributes:
        algorithm: `sgd`, `adam` or `adamw`.
        learning_rate: Peak learning rate.
        momentum: Momentum of SGD; without effect on the others, whose betas are PyTorch's.
        weight_decay: Decoupled for `adamw`, added to the gradient for the others.
        schedule: `constant`, `cosine` to zero at the last step, or `step`.
        warmup_steps: Linear rise from zero over so many steps.
        step_size: Steps between two cuts of the `step` schedule.
        step_factor: What a cut of the `step` schedule multiplies the learning rate by.
        gradient_clip: Largest norm of the gradient; 0 leaves it alone.
    """

    algorithm: Literal["sgd", "adam", "adamw"] = "adamw"
    learning_rate: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: Literal["constant", "cosine", "step"] = "cosine"
    warmup_steps: int = 0
    step_size: int = 100_000
    step_factor: float = 0.5
    gradient_clip: float = 0.0

    def __post_init__(self) -> None:
        """Refuse values without a meaning."""
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate must be positive, got {self.learning_rate}")
        for name in ("momentum", "weight_decay", "warmup_steps", "gradient_clip"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if self.step_size < 1:
            raise ValueError(f"step_size must be at least 1, got {self.step_size}")
        if self.step_factor <= 0:
            raise ValueError(f"step_factor must be positive, got {self.step_factor}")


@dataclass(frozen=True)
class Outcome:
    """What one pass over a batch gives.

    Attributes:
        losses: Named terms, already weighted; their sum is minimized.
        monitors: Named numbers to watch that are not minimized.
    """

    losses: dict[str, Tensor]
    monitors: dict[str, Tensor] = field(default_factory=dict)

    @property
    def total(self) -> Tensor:
        """The sum of the loss terms."""
        return sum(self.losses.values(), start=next(iter(self.losses.values())).new_zeros(()))


@dataclass(frozen=True)
class Alarm:
    """A monitor that shows when training went wrong.

    Attributes:
        monitor: Its name in `Outcome.monitors`.
        minimum: Warn once when a validation gives less than this.
        advice: What to try.
    """

    monitor: str
    minimum: float
    advice: str


@dataclass(frozen=True)
class MethodConfig(ABC):
    """The hyper-parameters of a method; defaults equal the publication.

    Attributes:
        name: The method's name on the command line.
        source: The paper.
        license_note: What the user must know of patents and licenses.
        presets: Class methods that give other published settings.
        needs_words: Whether it learns from visual words only, which must be given then.
        window_hu: CT is clipped to this range of Hounsfield units and scaled to [0, 1].
        batch_size: Examples in a batch on each device.
        optimizer: Optimizer and schedule.
    """

    name: ClassVar[str]
    source: ClassVar[str]
    license_note: ClassVar[str]
    presets: ClassVar[tuple[str, ...]] = ()
    needs_words: ClassVar[bool] = False
    window_hu: tuple[float, float] = (-1000.0, 1000.0)
    batch_size: int = 2
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)

    def __post_init__(self) -> None:
        """Refuse values without a meaning; a subclass checks its own and calls this."""
        if not self.window_hu[0] < self.window_hu[1]:
            raise ValueError(f"window_hu must rise, got {self.window_hu}")
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")

    @property
    @abstractmethod
    def input_size(self) -> tuple[int, int, int]:
        """The size of what the network sees in pre-training, in voxels."""

    @property
    @abstractmethod
    def default_backbone(self) -> BackboneConfig:
        """The backbone that it was published with."""

    @abstractmethod
    def build(self, backbone: Backbone) -> Method:
        """The method on this backbone.

        Raises:
            ValueError: The backbone lacks what the method needs.
        """


class Method(nn.Module, ABC):
    """A method owns `crops`, its views (`draw`, then `transform`) and its losses (`forward`).

    It does not know loaders, devices, logs or checkpoints, and the engine knows nothing else of it.
    Its network must be the attribute `backbone`; every other submodule is a head.

    Attributes:
        crops: Which crops make one example.
        alarms: Monitors that the engine watches for a collapse.
        patients: How many the crops of one example are of.
        part: What of the backbone it trains; the rest stays random and is not saved.
    """

    backbone: Backbone
    crops: CropPolicy
    alarms: tuple[Alarm, ...] = ()
    patients: int = 1
    part: Part = "backbone"

    @abstractmethod
    def draw(self, batch: Batch, random: KeyedGenerator) -> Any:
        """Draw the random parameters of this batch's views, as one small object of tensors."""

    @abstractmethod
    def transform(self, batch: Batch, parameters: Any) -> Views:
        """Turn stored crops into named views by a pure function, on the batch's device."""

    def views(self, batch: Batch, random: KeyedGenerator) -> Views:
        """Draw, then transform."""
        return self.transform(batch, self.draw(batch, random))

    @abstractmethod
    def forward(self, views: Views) -> Outcome:
        """Pass the views through the network and compare: the losses of one step."""

    @abstractmethod
    def illustrate(self, views: Views) -> dict[str, Tensor]:
        """Named volumes (b, C, X, Y, Z) that show a reader what the network sees and gives.

        They are those of the first b examples, as many as are cheap to make.
        """

    def shown_crops(self, crops: int) -> tuple[Tensor, ...]:
        """Which crop each row shows in each pass of `forward` through the backbone's encoder.

        This is all that an auxiliary objective has to know of a method. By default there is one
        pass, of a row a crop.

        Args:
            crops: How many a batch has: crop k of example b of K has the number b * K + k.

        Returns:
            The numbers of the crops, int64, a tensor (rows,) for each pass.
        """
        return (torch.arange(crops),)

    def after_step(self, step: int) -> None:
        """Follow the optimizer's step, as a teacher does; most methods have nothing to do."""
