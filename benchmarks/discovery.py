"""Time and memory of the exact nearest neighbors of a few references among many embeddings.

By default 45 references among 100,000 embeddings of 512 numbers: the words of TransVW in a large
collection. Embeddings are of clusters, as patients are, and all lie on one side of zero, as means
of what a ReLU leaves do. Each size of block runs in a process of its own, whose peak memory on top
of the embeddings is shown. The last column counts, among a few references, those whose ids differ
from all distances taken directly in float64 and sorted, which is done beside the clock.
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

from selfscan.discovery.neighbors import nearest

BLOCKS = {"blocks of 8,192": 8_192, "blocks of 65,536": 65_536, "one block": 1 << 40}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scans", type=int, default=100_000)
    parser.add_argument("--features", type=int, default=512)
    parser.add_argument("--references", type=int, default=45)
    parser.add_argument("--members", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--checked", type=int, default=5)
    parser.add_argument("--case", choices=BLOCKS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.case is not None:
        examine(given)
        return
    print(
        f"{given.references} references among {given.scans:,} embeddings of {given.features} ",
        end="",
    )
    print(f"numbers, {given.members} nearest each; {given.threads} thread(s), medians of ", end="")
    print(f"{given.repeats}; torch {torch.__version__}\n")
    size = given.scans * given.features * 4 / 1e6
    print(f"{'':18} {'CPU s':>6} {'wall s':>6} {'extra MB':>9} {'differ':>7}")
    for case in BLOCKS:
        command = [sys.executable, __file__, *sys.argv[1:], "--case", case]
        seen = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        print(f"{case:18} {seen['cpu']:6.2f} {seen['wall']:6.2f} ", end="")
        print(f"{seen['extra'] / 1e6:9.0f} {seen['differ']:7}")
    print(f"\nThe embeddings themselves are {size:.0f} MB.")


def examine(given: Any) -> None:
    """Measure one way, and print it as JSON."""
    embeddings = synthetic(given.scans, given.features)
    queries = embeddings[:: max(given.scans // given.references, 1)][: given.references]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    clocks = []
    for _ in range(given.repeats):
        cpu, wall = time.process_time(), time.perf_counter()
        found = nearest(queries, embeddings, given.members, block=BLOCKS[given.case])[0]
        clocks.append((time.process_time() - cpu, time.perf_counter() - wall))
    extra = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    truth = sort_all(queries[: given.checked], embeddings, given.members)
    differ = int((found[: given.checked] != truth).any(dim=1).sum())
    cpu, wall = (median(clock[i] for clock in clocks) for i in (0, 1))
    print(json.dumps({"cpu": cpu, "wall": wall, "extra": extra, "differ": differ}))


def synthetic(scans: int, features: int) -> Tensor:
    random = torch.Generator().manual_seed(0)
    centers = torch.rand(200, features, generator=random)
    embeddings = torch.randn(scans, features, generator=random).mul_(0.1)
    cluster = torch.randint(len(centers), (scans,), generator=random)
    for start in range(0, scans, 4096):  # little memory, so that the peak is the search's own
        embeddings[start : start + 4096] += centers[cluster[start : start + 4096]]
    return embeddings.clamp_(min=0)


def sort_all(queries: Tensor, embeddings: Tensor, count: int) -> Tensor:
    """Every distance of every reference, directly, then a stable sort of all."""
    rows = []
    for query in queries:
        apart = embeddings.double() - query.double()
        rows.append(torch.linalg.vector_norm(apart, dim=1).argsort(stable=True)[:count])
    return torch.stack(rows)


if __name__ == "__main__":
    main()
