"""How many bytes are read for a crop of a stored CT, by its size: what a shared file system sends.

Each crop is of a file that is not open, as among many scans; the system counts what is read, the
file's own header and index too.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from crops import ct_like
from selfscan.scans.volumes import VolumeFiles, write_volume

SIZES = ((64, 64, 32), (64, 64, 64), (96, 96, 96), (128, 128, 32), (128, 128, 64), (160, 160, 96))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--shape", type=int, nargs=3, default=(512, 512, 300), help="voxels")
    parser.add_argument("--crops", type=int, default=100, help="of each size")
    parser.add_argument("--seed", type=int, default=0, help="of the volume and the crops")
    chosen = parser.parse_args()
    random = np.random.default_rng(chosen.seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ct.b2nd"
        written = write_volume(path, ct_like(chosen.seed, tuple(chosen.shape))[None])
        share = written.length / (2 * np.prod(chosen.shape, dtype=np.int64))
        table = Table(
            "crop",
            "MiB of voxels",
            "MiB read",
            "read to voxels",
            "reads",
            title=f"one file of {written.length / 2**20:.1f} MiB, {share:.0%} of its voxels",
        )
        for size in SIZES:
            before = counted()
            for _ in range(chosen.crops):
                start = random.integers(0, np.subtract(chosen.shape, size) + 1)
                x, y, z = start.tolist()
                VolumeFiles().read(path, (x, y, z), size, 0)
            read, calls = (counted() - before) / chosen.crops
            voxels = 2 * np.prod(size)
            table.add_row(
                " x ".join(map(str, size)),
                f"{voxels / 2**20:.2f}",
                f"{read / 2**20:.2f}",
                f"{read / voxels:.2f}",
                f"{calls:.0f}",
            )
    Console().print(table)


def counted() -> np.ndarray:
    """Bytes that this process has read from files so far, and in how many calls."""
    lines = Path("/proc/self/io").read_text().splitlines()
    fields = dict(line.split(": ") for line in lines)
    return np.array([int(fields["rchar"]), int(fields["syscr"])])


if __name__ == "__main__":
    main()
