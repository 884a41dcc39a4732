"""The loop: stopped and resumed equals never stopped, the best is kept, bad ends are told."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from selfscan.checkpoints.checkpoint import Checkpoint, load
from selfscan.errors import Interrupted, SelfscanError
from selfscan.methods.method import Alarm, OptimizerConfig, Outcome
from selfscan.networks.unet3d import UNet3DConfig
from selfscan.scans.contract import PreprocessingContract
from selfscan.scans.crops import Batch
from selfscan.training.engine import EngineConfig
from selfscan.training.loop import FitResult, LoopConfig, Trainable, fit
from selfscan.training.optimization import ParameterGroup

FILES = ("last.safetensors", "best.safetensors", "metrics.csv")


class Toy(Trainable):
    """Learns to give one, from crops that depend on the example's number, through dropout."""

    def __init__(self, *, dropout: float = 0.5) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.layers = nn.Sequential(nn.Conv3d(1, 4, 3), nn.Dropout(dropout), nn.Conv3d(4, 1, 2))
        self.steps: list[int] = []
        self.before: Callable[[Batch], None] = lambda batch: None

    def forward(self, batch: Batch) -> Outcome:
        self.before(batch)
        output = self.layers(batch.volumes[:, 0].float() / 100)
        return Outcome({"error": (output - 1).square().mean()}, {"mean": output.mean()})

    def after_step(self, step: int) -> None:
        self.steps.append(step)


def crops(first: int, count: int) -> Batch:
    numbers = torch.arange(first, first + count)
    drawn = torch.stack(
        [
            torch.randint(0, 100, (1, 1, 4, 4, 4), generator=torch.Generator().manual_seed(int(n)))
            for n in numbers
        ]
    )
    return Batch(
        volumes=drawn.to(torch.int16),
        hounsfield=torch.ones(count, 1, 1, dtype=torch.bool),
        examples=numbers,
        scans=torch.zeros(count, 1, dtype=torch.int64),
        starts=torch.zeros(count, 1, 3, dtype=torch.int64),
    )


def run(
    folder: Path,
    toy: Toy | None = None,
    *,
    resume: bool = False,
    size: int = 2,
    optimizer: OptimizerConfig | None = None,
    **changes: Any,
) -> FitResult:
    toy = toy or Toy()
    folder.mkdir(exist_ok=True)
    options = {"steps": 7, "accumulate": 2, "validate_every": 3, "checkpoint_every": 2}
    fixed = {"select": "error", "maximize": False, "quality": "validation error"} | {
        name: changes.pop(name) for name in ("select", "maximize", "alarms") if name in changes
    }
    config = LoopConfig(**(options | {"log_every": 4} | changes))

    def batches(first_step: int) -> Iterator[Batch]:
        for number in range(first_step * config.accumulate, config.steps * config.accumulate):
            yield crops(number * size, size)

    def validate() -> dict[str, float]:
        outcome = toy(crops(1000, 4))
        assert not outcome.total.requires_grad
        assert not toy.training
        return {"error": float(outcome.total), "mean": float(outcome.monitors["mean"])}

    def export(step: int) -> Checkpoint:
        return Checkpoint(
            weights=toy.state_dict(),
            backbone=UNet3DConfig(),
            in_channels=1,
            task="pretraining",
            contract=PreprocessingContract(),
            window_hu=(0.0, 1.0),
            crop_size=(4, 4, 4),
            steps=step,
        )

    return fit(
        toy,
        batches,
        parameters=[ParameterGroup(tuple(toy.parameters()))],
        optimizer=optimizer or OptimizerConfig(learning_rate=0.01, warmup_steps=2),
        config=config,
        fabric=EngineConfig(accelerator="cpu", precision="32-true").fabric(),
        folder=folder,
        validate=validate,
        export=export,
        seed=5,
        resume=resume,
        title="toy",
        **fixed,
    )


def broken_at(example: int, act: Callable[[], None]) -> Toy:
    """A toy that acts when it meets an example."""
    toy = Toy()

    def before(batch: Batch) -> None:
        if toy.training and example in batch.examples.tolist():
            act()

    toy.before = before
    return toy


def fail() -> None:
    raise RuntimeError("power cut")


@pytest.mark.parametrize("example", [1, 9, 10, 18, 27])
def test_a_run_that_broke_ends_like_one_that_did_not(tmp_path: Path, example: int) -> None:
    whole = run(tmp_path / "whole")
    with pytest.raises(RuntimeError, match="power cut"):
        run(tmp_path / "broken", broken_at(example, fail))
    resumed = run(tmp_path / "broken", resume=True)
    assert resumed == whole
    for name in FILES:
        assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_step_and_leaves_a_checkpoint(tmp_path: Path, number: int) -> None:
    run(tmp_path / "whole")
    toy = broken_at(9, lambda: os.kill(os.getpid(), number))
    with pytest.raises(Interrupted, match="state after step 3 is saved; give --resume") as stopped:
        run(tmp_path / "stopped", toy)
    assert stopped.value.exit_code == 128 + number
    assert load(tmp_path / "stopped" / "last.safetensors").steps == 3
    run(tmp_path / "stopped", resume=True)
    for name in FILES:
        one, other = (tmp_path / folder / name for folder in ("stopped", "whole"))
        assert one.read_bytes() == other.read_bytes()


def test_a_finished_run_has_nothing_left_to_do(tmp_path: Path) -> None:
    ended = run(tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in FILES}
    toy = Toy()
    assert run(tmp_path, toy, resume=True) == ended
    assert toy.steps == []
    assert before == {name: (tmp_path / name).read_bytes() for name in FILES}


def test_accumulated_batches_move_weights_like_one_large_batch(tmp_path: Path) -> None:
    small, large = Toy(dropout=0.0), Toy(dropout=0.0)
    run(tmp_path / "small", small, size=2, accumulate=3)
    run(tmp_path / "large", large, size=6, accumulate=1)
    for one, other in zip(small.parameters(), large.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-6)
    assert not torch.allclose(one, list(Toy().parameters())[-1], atol=1e-3)


def test_the_best_checkpoint_is_the_one_of_the_best_validation(tmp_path: Path) -> None:
    least = run(tmp_path / "least", validate_every=1, log_every=1)
    most = run(tmp_path / "most", validate_every=1, maximize=True)
    values = {}
    for line in (tmp_path / "least" / "metrics.csv").read_text().splitlines():
        step, name, value = line.split(",")
        if name == "validation/error":
            values[int(step)] = float(value)
    assert list(values) == [1, 2, 3, 4, 5, 6, 7]
    assert least.best_value == min(values.values())
    assert load(tmp_path / "least").steps == least.best_step == min(values, key=values.__getitem__)
    assert load(tmp_path / "most").steps == most.best_step == max(values, key=values.__getitem__)
    assert load(tmp_path / "most" / "last.safetensors").steps == 7


def test_training_values_are_means_over_the_steps_of_a_row(tmp_path: Path) -> None:
    run(tmp_path / "each", log_every=1)
    run(tmp_path / "four", log_every=4)

    def losses(folder: str) -> dict[int, float]:
        lines = (tmp_path / folder / "metrics.csv").read_text().splitlines()[1:]
        rows = [line.split(",") for line in lines]
        return {int(step): float(value) for step, name, value in rows if name == "train/loss"}

    each, four = losses("each"), losses("four")
    assert list(four) == [4, 7]
    assert four[4] == pytest.approx(sum(each[step] for step in (1, 2, 3, 4)) / 4)
    assert four[7] == pytest.approx(sum(each[step] for step in (5, 6, 7)) / 3)


def test_the_hook_hears_the_steps_done_in_order(tmp_path: Path) -> None:
    toy = Toy()
    run(tmp_path, toy)
    assert toy.steps == [1, 2, 3, 4, 5, 6, 7]


def test_a_gradient_that_is_not_finite_stops_before_it_does_harm(tmp_path: Path) -> None:
    toy = Toy()

    def spoil(batch: Batch) -> None:
        if toy.training and 10 in batch.examples.tolist():
            with torch.no_grad():
                toy.layers[0].weight.mul_(float("inf"))

    toy.before = spoil
    with pytest.raises(SelfscanError, match=r"norm nan in step 2 \(.*examples 8 to 11\).*lower"):
        run(tmp_path, toy)
    weights = load(tmp_path / "last.safetensors")
    assert weights.steps == 2
    assert all(weight.isfinite().all() for weight in weights.weights.values())


def test_gradients_are_clipped_to_the_norm_asked_for(tmp_path: Path) -> None:
    toy, start = Toy(), Toy()
    clip = OptimizerConfig(
        algorithm="sgd", learning_rate=1.0, momentum=0.0, schedule="constant", gradient_clip=1e-3
    )
    run(tmp_path, toy, optimizer=clip, steps=1)
    moved = [one - other for one, other in zip(toy.parameters(), start.parameters(), strict=True)]
    assert torch.stack([m.square().sum() for m in moved]).sum().sqrt().item() == pytest.approx(
        1e-3, rel=1e-3
    )


def test_alarms_watch_the_validation(tmp_path: Path) -> None:
    run(tmp_path, alarms=[Alarm("mean", 1e9, "worry less")])
    assert (tmp_path / "log.txt").read_text().count("worry less") == 1
    assert (tmp_path / "metrics.csv").read_text().count("alarm/mean") == 1


@pytest.mark.parametrize("name", ["steps", "accumulate", "checkpoint_every", "log_every"])
def test_numbers_without_a_meaning_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        LoopConfig(**({"steps": 1} | {name: 0}))
    with pytest.raises(ValueError, match="validate_every must not be negative"):
        LoopConfig(steps=1, validate_every=-1)
