"""What `prepare` costs a scan, on one worker: generated CT of clinical size, or given files."""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np
from rich.console import Console
from rich.table import Table

from crops import ct_like
from selfscan.scans.prepare import prepare
from selfscan.scans.store import Store

SPACING = (0.75, 0.75, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--scans", type=int, default=4, help="how many are generated")
    parser.add_argument("--shape", type=int, nargs=3, default=(512, 512, 300), help="voxels")
    parser.add_argument("--to", type=float, nargs=3, help="mm to resample to; default: as they are")
    parser.add_argument("--files", type=Path, nargs="*", help="scans to take instead")
    parser.add_argument("--seed", type=int, default=0, help="of the volumes")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = chosen.files or generated(Path(folder), chosen)
        # The first run also starts the worker; the difference to more scans is theirs.
        begun = timed(files[:1], Path(folder) / "one", chosen)
        ended = timed(files, Path(folder) / "all", chosen)
        store = Store(Path(folder) / "all")
        given = sum(file.stat().st_size for file in files)
        if len(store) < 2:
            parser.error(f"expected two usable scans or more, got {len(store)}: one is taken off")
        more = len(store) - 1
        voxels = int(store.shapes.prod(axis=1).sum()) * store.channels
        kept = {
            kind: sum(file.stat().st_size for file in (store.path / kind).glob("*"))
            for kind in ("volumes", "foreground")
        }
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**10
    table = Table("of each scan", "", title=f"{len(store)} scans, {voxels / len(store):.3g} voxels")
    table.add_row("seconds", f"{(ended[0] - begun[0]) / more:.1f}")
    table.add_row("seconds of CPU", f"{(ended[1] - begun[1]) / more:.1f}")
    table.add_row("MiB as given", f"{given / len(store) / 2**20:.1f}")
    for kind, size in kept.items():
        bits = 8 * size / voxels
        table.add_row(
            f"MiB of {kind}", f"{size / len(store) / 2**20:.1f} ({bits:.1f} bits a voxel)"
        )
    table.add_row("peak memory of a worker, MiB", f"{peak:.0f}")
    Console().print(table)


def generated(folder: Path, chosen: argparse.Namespace) -> list[Path]:
    """CT-like volumes as a hospital's export has them."""
    files = [folder / f"{number}.nii.gz" for number in range(chosen.scans)]
    for number, file in enumerate(files):
        voxels = ct_like(chosen.seed + number, tuple(chosen.shape))
        nib.save(nib.Nifti1Image(voxels, np.diag([*SPACING, 1.0])), file)
    return files


def timed(files: list[Path], out: Path, chosen: argparse.Namespace) -> tuple[float, float]:
    """Seconds, and seconds of CPU of the processes it started."""
    wall, cpu = time.perf_counter(), children_cpu()
    prepare(files, out, spacing=chosen.to and tuple(chosen.to), modality="ct", workers=1)
    return time.perf_counter() - wall, children_cpu() - cpu


def children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
