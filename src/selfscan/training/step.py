"""One optimizer step, a pure function of (weights, optimizer state, seed, step)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from lightning_fabric import Fabric

from selfscan.errors import SelfscanError
from selfscan.losses.gather import mean_over_processes
from selfscan.methods.method import OptimizerConfig
from selfscan.scans.crops import Batch
from selfscan.training.optimization import (
    ParameterGroup,
    build_optimizer,
    drop_frozen_gradients,
    learning_rate,
    set_learning_rate,
)
from selfscan.training.seeds import derive_seed
from selfscan.training.wrapped import Trainable, Wrapped


class Stepper:
    """Takes optimizer steps.

    Args:
        module: What is trained; moved to the device.
        parameters: What the optimizer moves.
        config: How.
        fabric: Launched.
        steps: The number of steps that the schedule is made for.
        accumulate: Batches whose gradients are averaged in one step.
        seed: Of what PyTorch draws inside a step, such as dropout; seeded anew in each.
    """

    def __init__(
        self,
        module: Trainable,
        parameters: Sequence[ParameterGroup],
        config: OptimizerConfig,
        *,
        fabric: Fabric,
        steps: int,
        accumulate: int,
        seed: int,
    ) -> None:
        self._module, self._parameters, self._config = module, parameters, config
        self._steps, self._accumulate = steps, accumulate
        self._seed, self._fabric = seed, fabric
        self.optimizer = build_optimizer(parameters, config)
        self._wrapped = Wrapped(fabric, module, self.optimizer)

    def take(self, step: int, upcoming: Iterator[Batch]) -> dict[str, float]:
        """Take step number `step` on the next batches; return its losses and monitors.

        These are means over batches and ranks.

        Raises:
            SelfscanError: The gradient is not finite; the weights are as before.
        """
        torch.manual_seed(derive_seed(self._seed, "step", step, self._fabric.global_rank))
        rate = learning_rate(self._config, step=step, steps=self._steps)
        shares = set_learning_rate(self.optimizer, self._parameters, rate, step=step)
        values: dict[str, float] = {}
        examples: list[int] = []
        for part in range(self._accumulate):
            batch = next(upcoming)
            examples += batch.examples.tolist()
            for name, value in self._add_gradients(batch, last=part == self._accumulate - 1):
                values[name] = values.get(name, 0.0) + value / self._accumulate
        values = self._over_ranks(values)
        values |= {"learning_rate": rate, **shares}
        drop_frozen_gradients(self._parameters, step=step)
        norm = self._wrapped.clip_gradients(self._config.gradient_clip or math.inf)
        # Ranks share their gradients, so that all of them see a norm that is not finite.
        if not math.isfinite(norm):
            terms = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
            raise SelfscanError(
                f"found a gradient of norm {norm} in step {step} ({terms}; examples "
                f"{examples[0]} to {examples[-1]}); expected a finite one; lower the learning "
                "rate or set gradient_clip; the checkpoints before this step are kept"
            )
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._module.after_step(step + 1)
        return {**values, "gradient_norm": norm}

    def _over_ranks(self, values: dict[str, float]) -> dict[str, float]:
        if self._fabric.world_size == 1:
            return values
        own = torch.tensor(list(values.values()), device=self._fabric.device)
        return dict(zip(values, mean_over_processes(own).tolist(), strict=True))

    def _add_gradients(self, batch: Batch, *, last: bool) -> Iterator[tuple[str, float]]:
        with self._wrapped.gradients_stay_local(not last):
            outcome = self._wrapped(batch)
            self._wrapped.backward(outcome.total / self._accumulate)
        terms = {"loss": outcome.total, **outcome.losses, **outcome.monitors}
        # One tensor, so that a GPU is waited for once.
        numbers = torch.stack([term.detach().float() for term in terms.values()]).tolist()
        return zip(terms, numbers, strict=True)
