"""The one training loop: steps, validation, the best and the last checkpoint, resumed exactly."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning_fabric import Fabric

from selfscan.checkpoints.checkpoint import Checkpoint, save
from selfscan.errors import Interrupted
from selfscan.methods.method import Alarm, OptimizerConfig
from selfscan.progress import Progress
from selfscan.scans.crops import Batch
from selfscan.training.alarms import Watch
from selfscan.training.logs import RunLog
from selfscan.training.optimization import ParameterGroup
from selfscan.training.signals import StopRequest, stop_requests
from selfscan.training.state import RunState, load_state, save_state
from selfscan.training.step import Stepper
from selfscan.training.wrapped import Trainable

__all__ = ["FitResult", "LoopConfig", "Trainable", "fit"]


@dataclass(frozen=True)
class LoopConfig:
    """How long, and how often what.

    Attributes:
        steps: Optimizer steps.
        accumulate: Batches whose gradients are averaged in one step.
        validate_every: Steps between validations; the last step is followed by one in any case, and
            0 leaves it at that.
        checkpoint_every: Steps between checkpoints; the last step is followed by one in any case.
        log_every: Steps whose training values are averaged to one row of the log.
    """

    steps: int
    accumulate: int = 1
    validate_every: int = 0
    checkpoint_every: int = 500
    log_every: int = 10

    def __post_init__(self) -> None:
        """Refuse values without a meaning."""
        for name in ("steps", "accumulate", "checkpoint_every", "log_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.validate_every < 0:
            raise ValueError(f"validate_every must not be negative, got {self.validate_every}")


@dataclass(frozen=True)
class FitResult:
    """How a run ended.

    Attributes:
        steps: Optimizer steps done.
        best_step: The step of the best validation; 0 if none gave a number.
        best_value: What it gave; NaN if none did.
    """

    steps: int
    best_step: int
    best_value: float


def fit(
    module: Trainable,
    batches: Callable[[int], Iterable[Batch]],
    *,
    parameters: Sequence[ParameterGroup],
    optimizer: OptimizerConfig,
    config: LoopConfig,
    fabric: Fabric,
    folder: Path,
    validate: Callable[[], dict[str, float]],
    select: str,
    maximize: bool,
    quality: str,
    export: Callable[[int], Checkpoint],
    seed: int,
    resume: bool,
    title: str,
    alarms: Sequence[Alarm] = (),
) -> FitResult:
    """Train to the last step, from the first or from where `folder/state.ckpt` says.

    Step s is a pure function of (weights, optimizer state, seed, s): batches are numbered, draws
    are keyed by example, and what PyTorch draws itself is seeded anew in each step. A run that was
    killed and resumed therefore ends in the same bytes as one that was not.

    Args:
        module: What is trained; moved to the device.
        batches: From a step to the batches of that step and all later ones, `accumulate` a step.
        parameters: What the optimizer moves.
        optimizer: How.
        config: How long.
        fabric: Launched.
        folder: The run folder, claimed by the caller.
        validate: Gives named values of the module as it is; called on every rank, which would only
            wait otherwise, in evaluation mode and without gradients.
        select: Which of these values decides the best checkpoint.
        maximize: Whether more of it is better.
        quality: What the progress line calls this value.
        export: The checkpoint of the module as it is after so many steps.
        seed: Of what PyTorch draws inside a step.
        resume: Go on from `folder/state.ckpt` if it is there.
        title: What the progress line says.
        alarms: Validation values to watch, from a tenth of the steps on.

    Raises:
        Interrupted: SIGINT, SIGTERM or SIGUSR1 came; the state is saved.
        SelfscanError: The gradient is not finite.
    """
    stepper = Stepper(
        module,
        parameters,
        optimizer,
        fabric=fabric,
        steps=config.steps,
        accumulate=config.accumulate,
        seed=seed,
    )
    state_file = folder / "state.ckpt"
    begun = resume and state_file.exists()
    state = load_state(state_file, module, stepper.optimizer) if begun else RunState()
    leads = fabric.is_global_zero

    with (
        RunLog(folder, step=state.step, visible=leads) as log,
        stop_requests() as request,
        Progress(
            title, total=config.steps, unit="steps", done=state.step, visible=leads
        ) as progress,
    ):
        if begun:
            log.say(f"{title}: {state.step} of {config.steps} steps were done before")
        watch = Watch(alarms, told=state.told, steps=config.steps, log=log)
        upcoming = iter(batches(state.step)) if state.step < config.steps else iter(())
        module.train()
        clock, clocked = time.monotonic(), state.step
        while state.step < config.steps:
            values = stepper.take(state.step, upcoming)
            state.step += 1
            state.add(values)
            is_last = state.step == config.steps

            if is_last or state.step % config.log_every == 0:
                log.metrics(state.step, _prefixed("train", state.take_means()))
                log.rate(state.step, (state.step - clocked) / (time.monotonic() - clock))
                clock, clocked = time.monotonic(), state.step

            shown = ""
            if is_last or _is_due(config.validate_every, state.step):
                found = _validated(module, validate, fabric)
                log.metrics(state.step, _prefixed("validation", found))
                watch.see(state.step, found)
                shown = f"{quality} {found[select]:.4f}"
                if state.improved(found[select], maximize=maximize) and leads:
                    save(export(state.step), folder / "best.safetensors")

            signal = _agreed_signal(request, fabric)
            if is_last or signal or _is_due(config.checkpoint_every, state.step):
                if leads:
                    save(export(state.step), folder / "last.safetensors")
                    # The state comes last: it says that everything before it is on disk.
                    save_state(state_file, state, module, stepper.optimizer)
                fabric.barrier()
            progress.advance(quality=shown)
            if signal and not is_last:
                raise Interrupted(
                    signal, f"the state after step {state.step} is saved; give --resume to go on"
                )
    return FitResult(state.step, state.best_step, state.best_value)


def _validated(
    module: Trainable, validate: Callable[[], dict[str, float]], fabric: Fabric
) -> dict[str, float]:
    module.eval()
    with torch.no_grad(), fabric.autocast():
        found: dict[str, float] = fabric.broadcast(validate())
    module.train()
    return found


def _agreed_signal(request: StopRequest, fabric: Fabric) -> int:
    """The signal that any rank received; 0 for none."""
    if fabric.world_size == 1:
        return request.number
    number = torch.tensor(float(request.number), device=fabric.device)
    return int(torch.as_tensor(fabric.all_reduce(number, reduce_op="max")))


def _is_due(every: int, step: int) -> bool:
    return every > 0 and step % every == 0


def _prefixed(prefix: str, values: dict[str, float]) -> dict[str, float]:
    return {f"{prefix}/{name}": value for name, value in values.items()}
