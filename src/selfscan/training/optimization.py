"""The optimizer and its learning rate, a pure function of the step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from selfscan.methods.method import OptimizerConfig


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that share a learning rate.

    Attributes:
        parameters: The parameters.
        rate: Factor on the learning rate.
        frozen_steps: The parameters stay as they are for so many steps.
    """

    parameters: tuple[nn.Parameter, ...]
    rate: float = 1.0
    frozen_steps: int = 0

    def __post_init__(self) -> None:
        """Refuse values without a meaning."""
        if not self.parameters:
            raise ValueError("a group needs parameters, got none")
        if self.rate <= 0 or self.frozen_steps < 0:
            raise ValueError(
                "rate must be positive and frozen_steps not negative, "
                f"got {self.rate} and {self.frozen_steps}"
            )


def build_optimizer(groups: Iterable[ParameterGroup], config: OptimizerConfig) -> Optimizer:
    """The optimizer over these groups; `set_learning_rate` moves its learning rate."""
    settings = [
        {"params": list(group.parameters), "lr": config.learning_rate * group.rate}
        for group in groups
    ]
    if config.algorithm == "sgd":
        return SGD(settings, momentum=config.momentum, weight_decay=config.weight_decay)
    kind = Adam if config.algorithm == "adam" else AdamW
    return kind(settings, weight_decay=config.weight_decay)


def learning_rate(config: OptimizerConfig, *, step: int, steps: int) -> float:
    """The learning rate of one step.

    Args:
        config: Peak, warm-up and schedule.
        step: The step's number, from 0.
        steps: Number of steps; the cosine reaches zero there.
    """
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    if config.schedule == "constant":
        return config.learning_rate
    if config.schedule == "step":
        return config.learning_rate * config.step_factor ** (step // config.step_size)
    progress = (step - config.warmup_steps) / max(steps - config.warmup_steps, 1)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


def set_learning_rate(optimizer: Optimizer, groups: Sequence[ParameterGroup], rate: float) -> None:
    """Give each group its share of the learning rate."""
    for settings, group in zip(optimizer.param_groups, groups, strict=True):
        settings["lr"] = rate * group.rate


def drop_frozen_gradients(groups: Iterable[ParameterGroup], *, step: int) -> None:
    """Forget the gradients of the groups that are still frozen, so that the optimizer skips them.

    They are computed all the same, since DDP expects each in every step.
    """
    for group in groups:
        if step < group.frozen_steps:
            for parameter in group.parameters:
                parameter.grad = None
