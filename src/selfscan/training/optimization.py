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
        rate: Factor on the learning rate, once they are not frozen any more.
        frozen_steps: The parameters stay as they are for so many steps.
        doubling_steps: From then on the factor doubles every so many steps, up to 1; 0 leaves it.
        name: What the log calls the group; a group without a name is not logged.
    """

    parameters: tuple[nn.Parameter, ...]
    rate: float = 1.0
    frozen_steps: int = 0
    doubling_steps: int = 0
    name: str = ""

    def __post_init__(self) -> None:
        """Refuse values without a meaning."""
        if not self.parameters:
            raise ValueError("a group needs parameters, got none")
        if self.rate <= 0 or self.frozen_steps < 0 or self.doubling_steps < 0:
            raise ValueError(
                "rate must be positive, frozen_steps and doubling_steps not negative, "
                f"got {self.rate}, {self.frozen_steps} and {self.doubling_steps}"
            )
        if self.doubling_steps and self.rate >= 1:
            raise ValueError(f"rate must be below 1 to double up to it, got {self.rate}")

    def factor(self, step: int) -> float:
        """The factor on the learning rate in a step, from 0; 0 while frozen."""
        if step < self.frozen_steps:
            return 0.0
        if not self.doubling_steps:
            return self.rate
        doublings = (step - self.frozen_steps) // self.doubling_steps
        # As a logarithm, since the power of a long run is no number any more.
        return 1.0 if doublings >= -math.log2(self.rate) else self.rate * 2.0**doublings


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


def set_learning_rate(
    optimizer: Optimizer, groups: Sequence[ParameterGroup], rate: float, *, step: int
) -> dict[str, float]:
    """Give each group its share of a step's learning rate; return those of the groups with names.

    Args:
        optimizer: Over these groups.
        groups: In the optimizer's order.
        rate: From `learning_rate`.
        step: The step's number, from 0.
    """
    for settings, group in zip(optimizer.param_groups, groups, strict=True):
        settings["lr"] = rate * group.factor(step)
    return {
        f"{group.name}_learning_rate": rate * group.factor(step) for group in groups if group.name
    }


def drop_frozen_gradients(groups: Iterable[ParameterGroup], *, step: int) -> None:
    """Forget the gradients of the groups that are still frozen, so that the optimizer skips them.

    They are computed all the same, since DDP expects each in every step.
    """
    for group in groups:
        if step < group.frozen_steps:
            for parameter in group.parameters:
                parameter.grad = None
