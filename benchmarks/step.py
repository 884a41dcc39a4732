"""What a step of Models Genesis costs on the CPU, and how much of it is not the network.

Phantoms are written to a temporary folder and prepared; then real training steps are taken, on one
thread, and CPU time is told apart: reading crops, views, and the rest, which is the forward pass,
the backward pass and the optimizer. A second table compares the precisions that
`EngineConfig.precision` chooses from.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from selfscan.methods.models_genesis import ModelsGenesisConfig
from selfscan.networks.unet3d import UNet3D, UNet3DConfig
from selfscan.scans.crops import CropDataset, batches
from selfscan.scans.phantom import write_phantoms
from selfscan.scans.prepare import prepare
from selfscan.scans.store import Store
from selfscan.training.engine import EngineConfig
from selfscan.training.optimization import ParameterGroup
from selfscan.training.pretext import PretextTask
from selfscan.training.step import Stepper


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--widths", type=int, nargs="+", default=(4, 8, 16, 32), help="of UNet3D")
    parser.add_argument("--crop", type=int, nargs=3, default=(64, 64, 32), help="voxels")
    parser.add_argument("--batch", type=int, default=2, help="crops a step")
    parser.add_argument("--steps", type=int, default=3, help="measured, after one to warm up")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    shares = Table("width", "reading", "views", "network", "not the network")
    shares.title = (
        f"CPU seconds a step, {chosen.batch} crops of {'x'.join(map(str, chosen.crop))}, float32"
    )
    with tempfile.TemporaryDirectory() as folder:
        write_phantoms(Path(folder) / "phantoms", cases=3, labelled=3, spacing_mm=(3.0, 3.0, 3.0))
        store = prepare(Path(folder) / "phantoms", Path(folder) / "store", workers=1)
        for width in chosen.widths:
            reading, views, whole = step_costs(store, width, chosen)
            network = whole - reading - views
            costs = (f"{seconds:.3f}" for seconds in (reading, views, network))
            shares.add_row(str(width), *costs, f"{(reading + views) / whole:.1%}")
    precisions = Table("precision", "CPU seconds a step")
    precisions.title = "width 16, 2 crops of 40x56x40, forward and backward"
    for name, dtype in (("32-true", torch.float32), ("bf16-mixed", torch.bfloat16)):
        precisions.add_row(name, f"{network_cost(dtype, chosen.steps):.2f}")
    Console().print(shares, precisions)


class Clock:
    """Adds up CPU time."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> None:
        self._since = time.process_time()

    def __exit__(self, *error: object) -> None:
        self.seconds += time.process_time() - self._since


def step_costs(store: Store, width: int, chosen: argparse.Namespace) -> tuple[float, float, float]:
    """CPU seconds of reading, of views and of all, each a step."""
    reading, views, whole = Clock(), Clock(), Clock()
    config = ModelsGenesisConfig(crop_size=tuple(chosen.crop))
    method = config.build(UNet3DConfig(width=width).build(1))
    method.views = in_time(method.views, views)
    task = PretextTask(method, seed=0)
    steps = chosen.steps + 1
    stepper = Stepper(
        task,
        [ParameterGroup(tuple(method.parameters()))],
        config.optimizer,
        fabric=EngineConfig(accelerator="cpu", precision="32-true").fabric(),
        steps=steps,
        accumulate=1,
        seed=0,
    )
    dataset = CropDataset(store, method.crops, seed=0, length=steps * chosen.batch)
    loader = iter(batches(dataset, batch_size=chosen.batch, steps=steps))
    upcoming = iter(in_time(lambda: next(loader), reading), None)
    for step in range(steps):
        if step == 1:
            reading.seconds = views.seconds = whole.seconds = 0.0
        with whole:
            stepper.take(step, upcoming)
    return tuple(clock.seconds / chosen.steps for clock in (reading, views, whole))


def in_time(function: Callable[..., Any], clock: Clock) -> Callable[..., Any]:
    """The function, with the CPU time of its calls added up."""

    def call(*arguments: Any) -> Any:
        with clock:
            return function(*arguments)

    return call


def network_cost(dtype: torch.dtype, steps: int) -> float:
    """CPU seconds of a forward and a backward pass: the best of some."""
    network = UNet3D(width=16)
    volumes = torch.rand(2, 1, 40, 56, 40)
    costs = []
    for _ in range(steps + 1):
        clock = Clock()
        with clock:
            with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
                features = network(volumes).decoder[0]
            features.float().square().mean().backward()
        network.zero_grad()
        costs.append(clock.seconds)
    return min(costs)


if __name__ == "__main__":
    main()
