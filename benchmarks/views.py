"""Measure the views of Swin UNETR: both of a 96^3 crop, beside a loop over crops and boxes.

The loops are what the original does, written anew from its description: a batch is turned crop by
crop, and every box is drawn, filled and counted by itself. CPU time is of one thread unless asked
otherwise, and loops and lists take turns, so that other work on the machine slows both.

Operations are counted as they would be launched on a device that nothing waits for, other
than views of a tensor.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from selfscan.transforms.cutout import CutoutConfig, apply_cutout, draw_cutout
from selfscan.transforms.random import KeyedGenerator
from selfscan.transforms.rotation import Plane, apply_quarter_turns, draw_quarter_turns
from transforms import processor

SIZE = (96, 96, 96)
CONFIGS: dict[str, tuple[CutoutConfig, Plane]] = {
    "default": (CutoutConfig(), "axial"),
    "released": (CutoutConfig(shortest_edge=1, swap_from="running"), "sagittal"),
    "pooled noise": (CutoutConfig(noise="pooled"), "axial"),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--batches", type=int, default=40, help="measured, after 3 others")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    # Once it was given back a block of almost 32 MiB, the allocator of Linux keeps memory for what
    # comes next, as it does in training; before, each large tensor costs page faults.
    torch.ones(30 << 18)
    print(f"{processor()}; torch {torch.__version__}; {given.threads} thread(s)")

    crops, random = torch.rand(given.batch_size, 1, *SIZE), np.random.RandomState(0)
    works: dict[str, Callable[[int], object]] = {"loops": lambda number: loop_views(crops, random)}
    for name, (config, plane) in CONFIGS.items():
        works[name] = lambda number, c=config, p=plane: views(crops, number, c, p)
    times = take_turns(works, given.batches)
    print(f"\nCPU ms a crop, both views, {given.batches} batches of {given.batch_size}")
    print(f"{'':16} {'median':>8} {'least':>8} {'to loops':>9}")
    for name, seconds in times.items():
        middle, least = (1000 * f(seconds) / given.batch_size for f in (median, min))
        ratio = median(seconds) / median(times["loops"])
        print(f"{name:16} {middle:8.2f} {least:8.2f} {ratio:9.2f}")

    print(f"\n{'operations':16} {'2 crops':>8} {'8 crops':>8}")
    print(f"{'loops':16} {loop_operations(2, random):8} {loop_operations(8, random):8}")
    for name, (config, plane) in CONFIGS.items():
        print(f"{name:16} {operations(2, config, plane):8} {operations(8, config, plane):8}")


def views(crops: Tensor, number: int, config: CutoutConfig, plane: Plane) -> Tensor:
    """Two turned and cut-out copies of every crop of batch `number`."""
    examples = torch.arange(len(crops), device=crops.device) + number * len(crops)
    random = KeyedGenerator.for_examples(0, examples).split(2)
    turns = draw_quarter_turns(random)
    turned = apply_quarter_turns(crops.repeat_interleave(2, dim=0), turns, plane)
    return apply_cutout(turned, draw_cutout(random, SIZE, config, views=2), config)


def loop_views(crops: Tensor, random: np.random.RandomState) -> list[Tensor]:
    """The same, one crop and one box after another."""
    both = []
    for _ in range(2):
        turned = crops.clone()
        for crop, turns in zip(turned, random.randint(0, 4, len(crops)), strict=True):
            crop.copy_(torch.rot90(crop, int(turns), (2, 3)))
        cut = turned.clone()
        for row, crop in enumerate(cut):
            loop_cutout(crop, None, random)
            donor = random.randint(0, len(cut))
            if donor != row:
                loop_cutout(crop, cut[donor], random)
        both.append(cut)
    return both


def loop_cutout(crop: Tensor, donor: Tensor | None, random: np.random.RandomState) -> None:
    """One pass over a crop (C, X, Y, Z), in place: noise, or what a donor has there."""
    budget, counted = random.uniform(0, 0.3) * crop[0].numel(), 0
    while counted < budget:
        starts = [random.randint(0, length - length // 20) for length in crop.shape[1:]]
        sizes = [random.randint(length // 20, length // 4) for length in crop.shape[1:]]
        region = [slice(a, a + n) for a, n in zip(starts, sizes, strict=True)]
        box = crop[(slice(None), *region)]
        if donor is None:
            noise = torch.empty(box.shape).normal_()
            box.copy_((noise - noise.min()) / (noise.max() - noise.min()))
        else:
            box.copy_(donor[(slice(None), *region)])
        counted += box[0].numel()


def take_turns(works: dict[str, Callable[[int], object]], batches: int) -> dict[str, list[float]]:
    """Processor seconds of every batch of each kind of work."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for number in range(batches + 3):
        for name, work in works.items():
            start = time.process_time()
            work(number)
            times[name].append(time.process_time() - start)
    return {name: numbers[3:] for name, numbers in times.items()}


def operations(crops: int, config: CutoutConfig, plane: Plane) -> int:
    """How many operations the views of so many crops launch, on a device without values."""
    with Operations() as run:
        views(torch.zeros(crops, 1, *SIZE, device="meta"), 0, config, plane)
    return run.count


def loop_operations(crops: int, random: np.random.RandomState) -> int:
    """How many the loops launch, on average of ten batches."""
    with Operations() as run:
        for _ in range(10):
            loop_views(torch.zeros(crops, 1, *SIZE), random)
    return run.count // 10


class Operations(TorchDispatchMode):
    """Counts the operations that run inside and are no views of a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        returns = func._schema.returns
        self.count += not any(r.alias_info and not r.alias_info.is_write for r in returns)
        return func(*args, **(kwargs or {}))


if __name__ == "__main__":
    main()
