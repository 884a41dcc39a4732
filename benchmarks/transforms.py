"""Measure the views of Models Genesis: milliseconds a crop, of each transform and of the mixture.

CPU time is the steady figure on a machine that others use too; wall time is what training waits.
Transforms of one kind are forced on every crop; the mixture draws as published and includes all:
draws, scaling to [0, 1], flips, shuffling, curves and painting.
"""

from __future__ import annotations

import argparse
import platform
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import torch

from selfscan.methods.models_genesis import ModelsGenesis, ModelsGenesisConfig
from selfscan.networks.unet3d import UNet3DConfig
from selfscan.scans.crops import Batch
from selfscan.transforms.random import KeyedGenerator

NOTHING = ModelsGenesisConfig(
    flip_probability=0.0, shuffle_probability=0.0, curve_probability=0.0, paint_probability=0.0
)
FORCED = {
    "scaling to [0, 1] alone": NOTHING,
    "flip": replace(NOTHING, flip_probability=1.0),
    "local shuffling": replace(NOTHING, shuffle_probability=1.0),
    "intensity curve": replace(NOTHING, curve_probability=1.0),
    "in-painting": replace(NOTHING, paint_probability=1.0, outpaint_probability=0.0),
    "out-painting": replace(NOTHING, paint_probability=1.0, outpaint_probability=1.0),
    "published mixture": ModelsGenesisConfig(),
    "paper preset": ModelsGenesisConfig.paper(),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--crop-size", type=int, nargs=3, default=(64, 64, 32), metavar="N")
    parser.add_argument("--batch-size", type=int, default=6)
    parser.add_argument("--batches", type=int, default=40, help="batches measured, after 3 others")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(f"{processor()}; torch {torch.__version__}; {given.threads} thread(s); {given.device}")
    print(f"crops of {' x '.join(map(str, given.crop_size))}, batches of {given.batch_size}\n")
    print(f"{'':24} {'CPU ms':>8} {'wall ms':>8}   a crop, median of {given.batches} batches")
    for name, config in FORCED.items():
        method = replace(config, crop_size=tuple(given.crop_size)).build(
            UNet3DConfig(width=1).build(1)
        )
        cpu, wall = measured(method, given.batch_size, given.batches, given.device)
        print(f"{name:24} {cpu:8.2f} {wall:8.2f}", flush=True)


def measured(method: ModelsGenesis, size: int, batches: int, device: str) -> tuple[float, float]:
    """Milliseconds a crop: of the processor and of the clock."""
    times = []
    for number in range(batches + 3):
        batch = random_batch(number, size, method.config.crop_size).to(device)
        wait_for(device)
        cpu, wall = time.process_time(), time.perf_counter()
        with torch.no_grad():
            method.views(batch, KeyedGenerator.for_examples(0, batch.examples))
        wait_for(device)
        times.append((time.process_time() - cpu, time.perf_counter() - wall))
    return tuple(1000 * median(column) / size for column in zip(*times[3:], strict=True))


def random_batch(number: int, size: int, crop_size: tuple[int, int, int]) -> Batch:
    """Crops of noise in Hounsfield units, other ones for each number."""
    examples = torch.arange(number * size, (number + 1) * size)
    return Batch(
        volumes=torch.randint(-1000, 1001, (size, 1, 1, *crop_size), dtype=torch.int16),
        hounsfield=torch.ones(size, 1, 1, dtype=torch.bool),
        examples=examples,
        scans=torch.zeros(size, 1, dtype=torch.int64),
        starts=torch.zeros(size, 1, 3, dtype=torch.int64),
    )


def wait_for(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def processor() -> str:
    """The processor's name, where the system tells."""
    lines = Path("/proc/cpuinfo")
    names = lines.read_text().splitlines() if lines.exists() else []
    models = [line.split(":", 1)[1].strip() for line in names if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
