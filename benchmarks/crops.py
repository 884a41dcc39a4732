"""Random crops per second from a store, against the same volumes as NIfTI through nibabel.

Synthetic CT volumes are written to a temporary folder, prepared, and cropped on one core.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table
from scipy import ndimage

from selfscan.scans.crops import CropDataset, CropPolicy, ForegroundCrops, UniformCrops
from selfscan.scans.prepare import prepare


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--volumes", type=int, default=2, help="how many volumes")
    parser.add_argument("--shape", type=int, nargs=3, default=(384, 384, 320), help="voxels")
    parser.add_argument("--size", type=int, nargs=3, default=(64, 64, 32), help="of a crop, voxels")
    parser.add_argument("--crops", type=int, default=1000, help="crops from the store, each policy")
    parser.add_argument("--nifti-crops", type=int, default=4, help="crops from NIfTI, each kind")
    parser.add_argument("--seed", type=int, default=0, help="of volumes and crops")
    chosen = parser.parse_args()
    size, shape = tuple(chosen.size), tuple(chosen.shape)
    table = Table(
        "source", "crops/s", "crops/s of CPU", "ms a crop", "memory grows by", title=title(chosen)
    )
    with tempfile.TemporaryDirectory() as folder:
        scans = Path(folder) / "scans"
        for number in range(chosen.volumes):
            write_scan(scans, number, ct_like(chosen.seed + number, shape))
        store = prepare(sorted(scans.glob("*.nii.gz")), Path(folder) / "store", modality="ct")
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        policies: dict[str, CropPolicy] = {
            "store, anywhere": UniformCrops(size),
            "store, in the body": ForegroundCrops(size),
        }
        for name, policy in policies.items():
            data = CropDataset(store, policy, seed=chosen.seed, length=chosen.crops + 100)
            for i in range(100):
                data[chosen.crops + i]
            table.add_row(name, *measured(lambda i, data=data: data[i], chosen.crops))
        random = np.random.default_rng(chosen.seed)
        for ending in (".nii", ".nii.gz"):
            files = sorted(scans.glob(f"*{ending}"))

            def crop(i: int, files: list[Path] = files) -> npt.NDArray[Any]:
                start = random.integers(0, np.subtract(shape, size) + 1)
                box = tuple(slice(a, a + b) for a, b in zip(start, size, strict=True))
                voxels: npt.NDArray[Any] = nib.load(files[i % len(files)]).dataobj[box]
                return voxels

            table.add_row(f"nibabel, {ending}", *measured(crop, chosen.nifti_crops))
    Console().print(table)


def title(chosen: argparse.Namespace) -> str:
    size, shape = ("x".join(map(str, lengths)) for lengths in (chosen.size, chosen.shape))
    return f"crops of {size} from {chosen.volumes} volumes of {shape}, one core"


def ct_like(seed: int, shape: tuple[int, ...]) -> npt.NDArray[np.int16]:
    """An ellipse of smooth tissue with scanner noise, in air; as hard to compress as a CT."""
    random = np.random.default_rng(seed)
    coarse = random.normal(0, 120, [-(-length // 16) for length in shape])
    tissue = ndimage.zoom(coarse, 16, order=1)[tuple(map(slice, shape))]
    x, y, _ = np.ogrid[tuple(slice(-1, 1, length * 1j) for length in shape)]
    volume = np.where((x / 0.9) ** 2 + (y / 0.65) ** 2 < 1, tissue, -1000)
    volume += random.normal(0, 12, shape)
    return np.asarray(volume, dtype=np.int16)


def write_scan(folder: Path, number: int, volume: npt.NDArray[np.int16]) -> None:
    folder.mkdir(exist_ok=True)
    image = nib.Nifti1Image(volume, np.eye(4))
    nib.save(image, folder / f"{number}.nii")
    nib.save(image, folder / f"{number}.nii.gz")


def measured(crop: Callable[[int], Any], count: int) -> tuple[str, str, str, str]:
    """Crops per second of time and of CPU, milliseconds a crop, and growth of memory."""
    memory, wall, cpu = resident_bytes(), time.perf_counter(), time.process_time()
    for i in range(count):
        crop(i)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    grown = (resident_bytes() - memory) / 2**20
    return (
        f"{count / wall:.1f}",
        f"{count / cpu:.1f}",
        f"{1000 * wall / count:.2f}",
        f"{grown:.1f} MiB",
    )


def resident_bytes() -> int:
    """Memory of this process that is in use now; 0 where the system does not say."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0


if __name__ == "__main__":
    main()
