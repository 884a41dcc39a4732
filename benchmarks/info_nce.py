"""Memory and time of InfoNCE, forward and backward: all rows at once against blocks of rows.

Each case runs in a process of its own, whose peak memory is compared with what it held before. The
naive form needs 4 to 7 GB at the published 10,240 samples of 128 numbers.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time

import torch
from torch.nn import functional

from selfscan.losses.info_nce import info_nce


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=10_240)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--blocks", type=int, nargs="+", default=(256, 1024, 4096))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--case", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.case is not None:
        measure(given, given.case or None)
        return
    print(f"{given.samples} samples of {given.width}, {given.threads} thread(s)\n")
    print(f"{'rows at once':>12} {'loss':>11} {'gradient':>11} {'extra GB':>9} {'seconds':>8}")
    for rows in (*given.blocks, 0):
        subprocess.run([sys.executable, *sys.argv, "--case", str(rows)], check=True)


def measure(given: argparse.Namespace, block_rows: int | None) -> None:
    """Print one row: the loss, the gradient's norm, memory on top of the inputs, seconds."""
    random = torch.Generator().manual_seed(0)
    first = torch.randn(given.samples, given.width, generator=random)
    second = first + 0.5 * torch.randn(first.shape, generator=random)
    leaves = [view.requires_grad_() for view in (first, second)]
    small = functional.normalize(torch.randn(8, given.width, requires_grad=True), dim=1)
    torch.autograd.backward(info_nce(small, small, block_rows=block_rows))
    before, begun = peak_bytes(), time.perf_counter()
    loss = info_nce(*(functional.normalize(v, dim=1) for v in leaves), block_rows=block_rows)
    torch.autograd.backward(loss)
    seconds, extra = time.perf_counter() - begun, peak_bytes() - before
    norm = sum(float(v.grad.square().sum()) for v in leaves if v.grad is not None) ** 0.5
    print(
        f"{block_rows or 'all':>12} {loss.item():11.6f} {norm:11.7f} {extra / 1e9:9.2f} "
        f"{seconds:8.1f}",
        flush=True,
    )


def peak_bytes() -> int:
    """The most memory this process has held."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
