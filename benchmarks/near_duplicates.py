"""How long it takes to find near-duplicates among many scans, and how much memory, by their number.

Fingerprints and details are drawn at random, with a share of noisy copies; they take as long as
true ones, since every scan is compared with every earlier one.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
from rich.console import Console
from rich.table import Table

from selfscan.scans.fingerprint import DETAIL_KEPT, KEPT, SIZE
from selfscan.scans.near_duplicates import near_duplicates
from selfscan.scans.record import ScanRecord

DETAIL_SIZE = DETAIL_KEPT**3 - KEPT**3


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--scans", type=int, nargs="+", default=(5_000, 20_000))
    parser.add_argument("--copies", type=float, default=0.05, help="share of scans that are copies")
    chosen = parser.parse_args()
    table = Table("scans", "copies", "found", "CPU seconds", "peak memory, MiB")
    for count in chosen.scans:
        copies = round(chosen.copies * count)
        records = drawn(count, copies)
        begin = time.process_time()
        found = near_duplicates(records)
        seconds = time.process_time() - begin
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        table.add_row(f"{count:,}", f"{copies:,}", f"{len(found):,}", f"{seconds:.1f}", f"{peak:,}")
    Console().print(table)


def drawn(count: int, copies: int) -> list[ScanRecord]:
    """So many records, the last ones noisy copies of the first."""
    random = np.random.default_rng(0)
    values = random.normal(0, 30, (count, SIZE + DETAIL_SIZE))
    if copies:
        values[-copies:] = values[:copies] + random.normal(0, 1, (copies, values.shape[1]))
    values = np.clip(np.rint(values), -127, 127).astype(np.int8)
    return [record(f"scan_{i:06d}", row) for i, row in enumerate(values)]


def record(id: str, values: np.ndarray) -> ScanRecord:
    return ScanRecord(
        id=id,
        subject=id,
        modality=("ct",),
        shape=(2, 2, 2),
        spacing=(1.0, 1.0, 1.0),
        affine=((1.0, 0.0, 0.0, 0.0),) * 4,
        intensity_slope=(1.0,),
        intensity_intercept=(0.0,),
        foreground_fraction=1.0,
        foreground_box=((0, 0, 0), (2, 2, 2)),
        source_digest=id,
        volume_digest=id,
        fingerprint=tuple(values[:SIZE].tolist()),
        detail=tuple(values[SIZE:].tolist()),
    )


if __name__ == "__main__":
    main()
