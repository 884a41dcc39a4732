"""Measure views: milliseconds a crop of Models Genesis, and a pair of crops of vox2vec.

CPU time is the steady figure on a machine that others use too; wall time is what training waits.
Transforms of one kind are forced on every crop; the mixture draws as published and includes all:
draws, scaling to [0, 1], flips, shuffling, curves and painting.

A pair of vox2vec is drawn and read from a store of CT-like volumes, then its appearance is changed.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

import torch

from crops import ct_like, write_scan
from selfscan.methods.method import Method
from selfscan.methods.models_genesis import ModelsGenesisConfig
from selfscan.methods.vox2vec import Vox2VecConfig
from selfscan.networks.fpn3d import FPN3DConfig
from selfscan.networks.unet3d import UNet3DConfig
from selfscan.scans.crops import Batch, CropDataset, collate
from selfscan.scans.prepare import prepare
from selfscan.scans.store import Store
from selfscan.transforms.appearance import AppearanceConfig
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
PLAIN = AppearanceConfig(filter_probability=0.0, noise_probability=0.0, window_probability=0.0)
APPEARANCES = {
    "scaling to [0, 1] alone": PLAIN,
    "blur or sharpening": replace(PLAIN, filter_probability=1.0),
    "noise": replace(PLAIN, noise_probability=1.0),
    "window": replace(PLAIN, window_probability=1.0),
    "published mixture": AppearanceConfig(),
}
PAIR_SIZE = (128, 128, 32)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--crop-size", type=int, nargs=3, default=(64, 64, 32), metavar="N")
    parser.add_argument("--batch-size", type=int, default=6)
    parser.add_argument("--batches", type=int, default=40, help="measured, after 3 others")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(f"{processor()}; torch {torch.__version__}; {given.threads} thread(s); {given.device}")
    print(f"medians of {given.batches} batches\n")
    print(f"{'models-genesis, a crop':28} {'CPU ms':>8} {'wall ms':>8}   of {given.crop_size}")
    for name, config in FORCED.items():
        config = replace(config, crop_size=tuple(given.crop_size))
        method = config.build(UNet3DConfig(width=1).build(1))

        drawn = [
            random_batch(number, given.batch_size, config.crop_size).to(given.device)
            for number in range(given.batches + 3)
        ]

        def views(number: int, method: Method = method, drawn: list[Batch] = drawn) -> None:
            method.views(drawn[number], streams_of(drawn[number]))

        tell(name, views, given, share=given.batch_size)
    print(f"\n{'vox2vec, a pair':28} {'CPU ms':>8} {'wall ms':>8}   of {PAIR_SIZE}")
    with tempfile.TemporaryDirectory() as folder:
        measure_pairs(ct_store(Path(folder)), given)


def measure_pairs(store: Store, given: argparse.Namespace) -> None:
    """Draw and read pairs, change ones already read, and both together as in training."""
    config = Vox2VecConfig(batch_size=1)
    policy = build(config).crops
    data = CropDataset(store, policy, seed=0, length=given.batches + 3)
    tell("draw and read", lambda number: collate([data[number]]), given)
    read = [collate([data[number]]) for number in range(4)]
    for name, appearance in APPEARANCES.items():
        method = build(replace(config, appearance=appearance))

        def views(number: int, method: Method = method) -> None:
            batch = replace(read[number % 4], examples=torch.tensor([number]))
            method.views(batch.to(given.device), streams_of(batch))

        tell(name, views, given)
    published = build(config)

    def all_of_it(number: int) -> None:
        batch = collate([data[number]])
        published.views(batch.to(given.device), streams_of(batch))

    tell("all: drawn, read, changed", all_of_it, given)


def build(config: Vox2VecConfig) -> Method:
    return config.build(FPN3DConfig(channels=1, levels=2).build(1))


def ct_store(folder: Path) -> Store:
    """Two CT-like volumes of 330 x 250 x 150 voxels."""
    for number in range(2):
        write_scan(folder / "scans", number, ct_like(number, (330, 250, 150)))
    return prepare(sorted((folder / "scans").glob("*.nii")), folder / "store", modality="ct")


def streams_of(batch: Batch) -> KeyedGenerator:
    return KeyedGenerator.for_examples(0, batch.examples)


def tell(
    name: str, work: Callable[[int], object], given: argparse.Namespace, *, share: int = 1
) -> None:
    """Print the median milliseconds of one in `share`: of the processor and of the clock."""
    times = []
    for number in range(given.batches + 3):
        wait_for(given.device)
        cpu, wall = time.process_time(), time.perf_counter()
        with torch.no_grad():
            work(number)
        wait_for(given.device)
        times.append((time.process_time() - cpu, time.perf_counter() - wall))
    cpu, wall = (1000 * median(column) / share for column in zip(*times[3:], strict=True))
    print(f"  {name:26} {cpu:8.2f} {wall:8.2f}", flush=True)


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
