"""A module as Fabric runs it: on the device, in its precision, with gradients shared by ranks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from selfscan.methods.method import Outcome
from selfscan.networks.synchronized_norm import synchronize_norms
from selfscan.scans.crops import Batch


class Trainable(nn.Module, ABC):
    """What the loop trains: from a batch to losses."""

    @abstractmethod
    def forward(self, batch: Batch) -> Outcome:
        """The losses of a batch on the module's device; random draws depend on its examples."""

    def after_step(self, step: int) -> None:
        """Follow the optimizer after so many steps; most have nothing to do."""


class Wrapped:
    """Runs a trainable through Fabric, so that DDP sees each forward pass.

    Args:
        fabric: Launched.
        module: Moved to the device in place; its weights are then those of rank 0. Among several
            processes its batch norms take the statistics of all their batches.
        optimizer: Of the module's parameters.
    """

    def __init__(self, fabric: Fabric, module: Trainable, optimizer: Optimizer) -> None:
        self._fabric = fabric
        if fabric.world_size > 1:
            synchronize_norms(module, device=fabric.device)
        # Channels last: up to 1.5 times as quick on a CPU, and what tensor cores ask for.
        module.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self._forward, self.optimizer = fabric.setup(_Unpacking(module), optimizer)

    def __call__(self, batch: Batch) -> Outcome:
        """The losses of a batch; its tensors move to the device."""
        losses, monitors = self._forward(_Sealed(batch.to(self._fabric.device)))
        return Outcome(losses, monitors)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss."""
        self._fabric.backward(loss)

    def gradients_stay_local(self, enabled: bool) -> AbstractContextManager[Any]:
        """Within, gradients add up on each rank and are not shared yet."""
        return self._fabric.no_backward_sync(self._forward, enabled=enabled)

    def clip_gradients(self, largest_norm: float) -> float:
        """Scale the gradients down to a norm where theirs is larger; return theirs."""
        norm = self._fabric.clip_gradients(
            self._forward, self.optimizer, max_norm=largest_norm, error_if_nonfinite=False
        )
        return float("nan") if norm is None else float(norm)


class _Sealed:
    """Hides a batch from Fabric, which would otherwise round its tensors to bfloat16."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch


class _Unpacking(nn.Module):
    """Gives dictionaries, which Fabric and DDP look through, instead of a frozen dataclass."""

    def __init__(self, module: Trainable) -> None:
        super().__init__()
        self.module = module

    def forward(self, sealed: _Sealed) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        outcome: Outcome = self.module(sealed.batch)
        return outcome.losses, outcome.monitors
