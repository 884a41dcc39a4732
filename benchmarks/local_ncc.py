"""Cost and precision of local correlation, forward and backward: box sums against convolutions.

The five dense convolutions of ones are the release's arithmetic. Both forms take turns, so that a
busy machine slows both; the ratio is the median of those of each turn. Memory on top of the volumes
is measured in a process of its own, where the differences to float64 are too: on smooth random
volumes with noise, and on a flat volume against one with a faint pattern; of slopes as a share of
the largest.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from selfscan.losses.local_ncc import local_ncc

FORMS = {"five convolutions": False, "box sums": True}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, nargs=3, default=(96, 96, 96), metavar="N")
    parser.add_argument("--window", type=int, default=9)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--case", choices=FORMS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.case is not None:
        examine(given, stable=FORMS[given.case])
        return
    print(f"1 x 1 x {' x '.join(map(str, given.size))} voxels, window {given.window}, ", end="")
    print(f"{given.threads} thread(s), medians of {given.repeats}; torch {torch.__version__}\n")
    seen = {name: examined(name) for name in FORMS}  # first: a process inherits its parent's peak
    volumes = textured(given.size)
    for stable in FORMS.values():
        run(volumes, given.window, stable=stable)
    turns = [
        {name: clocked(volumes, given.window, stable=FORMS[name]) for name in FORMS}
        for _ in range(given.repeats)
    ]
    print(f"{'':17} {'':>6} {'':>6} {'':>9}    {'off, textured':>17}   {'off, flat':>17}")
    columns = f"{'CPU s':>6} {'wall s':>6} {'extra MB':>9}", *(2 * [f"{'value':>8} {'slope':>8}"])
    print(f"{'':17} {'    '.join(columns)}")
    for name in FORMS:
        cpu, wall = (median(turn[name][clock] for turn in turns) for clock in (0, 1))
        off = "    ".join(f"{value:8.1e} {slope:8.1e}" for value, slope in seen[name]["off"])
        print(f"{name:17} {cpu:6.2f} {wall:6.2f} {seen[name]['extra'] / 1e6:9.0f}    {off}")
    for clock, unit in enumerate(("CPU", "wall")):
        ratios = [turn["five convolutions"][clock] / turn["box sums"][clock] for turn in turns]
        print(f"{unit} ratio {median(ratios):.0f} ({min(ratios):.0f} to {max(ratios):.0f})")


def examined(name: str) -> dict[str, Any]:
    """What a process of its own says about one form."""
    command = [sys.executable, *sys.argv, "--case", name]
    said: dict[str, Any] = json.loads(subprocess.check_output(command))
    return said


def examine(given: argparse.Namespace, *, stable: bool) -> None:
    """Print what a pass takes on top of its volumes, and how far it is from float64."""
    run(textured((16, 16, 16)), given.window, stable=stable)
    volumes = textured(given.size)
    before = peak_bytes()
    run(volumes, given.window, stable=stable)
    extra = peak_bytes() - before
    off = []
    for moving, fixed in (volumes, flat(given.size)):
        value, slope = run((moving, fixed), given.window, stable=stable)
        exact, exact_slope = run((moving.double(), fixed.double()), given.window, stable=True)
        largest = exact_slope.abs().max()
        off.append((abs(value - exact), float((slope - exact_slope).abs().max() / largest)))
    print(json.dumps({"extra": extra, "off": off}))


def clocked(volumes: tuple[Tensor, Tensor], window: int, *, stable: bool) -> tuple[float, float]:
    """CPU seconds and wall seconds of one pass."""
    cpu, wall = time.process_time(), time.perf_counter()
    run(volumes, window, stable=stable)
    return time.process_time() - cpu, time.perf_counter() - wall


def run(volumes: tuple[Tensor, Tensor], window: int, *, stable: bool) -> tuple[float, Tensor]:
    """The loss, and its slope at each voxel of the moving volume."""
    moving, fixed = volumes
    moving = moving.detach().requires_grad_()
    loss = local_ncc(moving, fixed, window=window, stable=stable)
    (slope,) = torch.autograd.grad(loss, moving)
    return loss.item(), slope


def textured(size: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 1, 12, 12, 12, generator=random)
    smooth = functional.interpolate(coarse, size=tuple(size), mode="trilinear")
    first, second = 0.1 * torch.rand(2, *smooth.shape, generator=random)
    return first.add_(smooth), second.add_(smooth.flip(2))


def flat(size: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    x, y, z = torch.meshgrid(*(torch.arange(edge) for edge in size), indexing="ij")
    faint = 0.7 + 0.003 * ((7 * x + 5 * y + 3 * z) % 10) / 10
    return torch.full_like(faint, 0.7)[None, None], faint[None, None]


def peak_bytes() -> int:
    """The most memory this process has held."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
