"""A store of a million scans: what opening it, choosing from it and drawing crops cost.

The index is generated. Policies that look at voxels read those of a few volumes, each under the
names of many scans, from files that are mostly not open, in the memory of the operating system.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import pickle
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from selfscan.scans.columns import ROWS
from selfscan.scans.contract import PreprocessingContract
from selfscan.scans.crops import (
    CropPolicy,
    ForegroundCrops,
    LabelCrops,
    LungCrops,
    MatchedCrops,
    OverlappingCrops,
    UniformCrops,
    VisualWordCrops,
    WholeScans,
    batches,
)
from selfscan.scans.crops.loading import CropDataset
from selfscan.scans.crops.policies import label_counts
from selfscan.scans.fingerprint import DETAIL_KEPT, KEPT, SIZE
from selfscan.scans.record import SCHEMA, Kind
from selfscan.scans.seen import Seen
from selfscan.scans.store import Store
from selfscan.scans.volumes import write_volume
from selfscan.scans.words import Box, Member, WordOrigin, Words, WordsHeader
from selfscan.training.held_out import hold_out, pretraining_scans

KINDS = get_args(Kind)
DETAIL_SIZE = DETAIL_KEPT**3 - KEPT**3
SHAPE = (288, 288, 128)
CROP = (64, 64, 32)
SEED = 2**62 - 1  # of crops: runs draw by seeds of so many bits
FILES = 256
KNOWN = "around labels, of scans drawn before"


class ManyScans(Store):
    """A store in which many scans share the few files that there are."""

    def file(self, kind: Kind, i: int) -> Path:
        """Where the voxels of scan i lie, as of the others that share them."""
        number = int(super().file(kind, i).stem) % FILES
        return self.path / kind / f"{number:08}.b2nd"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--scans", type=int, default=1_000_000, help="rows of the index")
    parser.add_argument("--draws", type=int, default=20_000, help="examples from the index alone")
    parser.add_argument("--reading-draws", type=int, default=500, help="examples that read voxels")
    parser.add_argument("--words", type=int, default=100, help="visual words, of 200 boxes each")
    parser.add_argument("--seed", type=int, default=0, help="of all that is generated")
    chosen = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store"
        write_store(path, chosen.scans, chosen.seed)
        index = (path / "scans.parquet").stat().st_size / 2**20
        console = Console()
        console.print(f"{chosen.scans:,} scans, an index of {index:,.0f} MiB, one core")
        # Each table in a process of its own, so that one's memory is not another's.
        for table in (start_table, draw_table, worker_table):
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:
                console.print(alone.submit(table, path, chosen).result())


def start_table(path: Path, chosen: argparse.Namespace) -> Table:
    """What happens before the first step."""
    table = Table("before the first step", "seconds", "of CPU", "memory grows by", "peak, MiB")

    def timed(name: str, function: Callable[[], Any]) -> Any:
        before, wall, cpu = resident_mib(), time.perf_counter(), time.process_time()
        result = function()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        grown, peak = resident_mib() - before, status_mib("VmHWM")
        table.add_row(name, f"{wall:.3f}", f"{cpu:.3f}", f"{grown:.0f}", f"{peak:.0f}")
        return result

    store = timed("open", lambda: ManyScans(path))
    timed(
        "  and all that crops are drawn by",
        lambda: (store.shapes, store.foreground_boxes, store.hounsfield, store.labelled),
    )
    some = timed("choose a split", lambda: store.select(splits=["train"]))
    ids = some.ids[:1000]
    timed("choose 1,000 ids", lambda: store.select(ids=ids))
    allowed = timed("scans of pre-training", lambda: pretraining_scans(store, None))
    scans, held = timed(
        "hold patients out", lambda: hold_out(allowed, share=0.05, seed=chosen.seed)
    )
    timed("digest of the scans", scans.digest)
    timed("write seen.parquet", lambda: Seen.of(scans, held).write(path))
    test = store.select(ids=ids[:50])
    timed("look for 50 test scans in it", lambda: Seen.read(path).leaks(test))
    timed("one record", lambda: store[chosen.scans // 2])
    return table


def draw_table(path: Path, chosen: argparse.Namespace) -> Table:
    """Positions of crops, for each policy."""
    store = ManyScans(path)
    words = words_of(store, chosen)
    few = store.select(ids=store.ids[:FILES])
    policies: list[tuple[str, CropPolicy, bool]] = [
        ("anywhere", UniformCrops(CROP), False),
        ("whole scans", WholeScans(CROP), False),
        ("two patients, one place", MatchedCrops(CROP, "shared", "body"), False),
        ("visual words", VisualWordCrops(words, UniformCrops(CROP)), False),
        ("in the body", ForegroundCrops(CROP), True),
        ("around labels", LabelCrops(CROP), True),
        (KNOWN, LabelCrops(CROP), True),
        ("lung", LungCrops(CROP), True),
        ("overlapping pairs", OverlappingCrops((128, 128, 32)), True),
    ]
    table = Table(
        "crops", "reads voxels", "first, s", "examples/s of CPU", "crops/s of CPU", "crops/s"
    )
    for name, policy, reads in policies:
        count = chosen.reading_draws if reads else chosen.draws
        source = few if name == KNOWN else store
        if name == KNOWN:
            for scan in range(len(few)):
                label_counts(few, scan)
        data = CropDataset(source, policy, seed=SEED, length=count)
        began = time.perf_counter()
        data.example(0)
        first, crops = time.perf_counter() - began, 0
        wall, cpu = time.perf_counter(), time.process_time()
        for number in range(count):
            crops += len(data.example(number).crops)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        table.add_row(
            name,
            "yes" if reads else "no",
            f"{first:.2f}",
            f"{count / cpu:,.0f}",
            f"{crops / cpu:,.0f}",
            f"{crops / wall:,.0f}",
        )
    return table


def worker_table(path: Path, chosen: argparse.Namespace) -> Table:
    """What a worker of the loader costs, started either way."""
    scans, _ = hold_out(ManyScans(path), share=0.05, seed=chosen.seed)
    data = CropDataset(scans, UniformCrops(CROP), seed=chosen.seed, length=64)
    data[0]
    sent = len(pickle.dumps(data)) / 2**20
    table = Table("workers", "sent to each, MiB", "first batch of two, s", "own memory of one, MiB")
    for method in ("fork", "spawn"):
        loader = batches(data, batch_size=2, steps=8, workers=2)
        loader.multiprocessing_context = method
        began = time.perf_counter()
        iterator = loader.__iter__()
        next(iterator)
        took = time.perf_counter() - began
        own = max(unshared_mib(child.pid) for child in multiprocessing.active_children())
        table.add_row(method, f"{0 if method == 'fork' else sent:.1f}", f"{took:.2f}", f"{own:.0f}")
        del iterator
    return table


def write_store(path: Path, scans: int, seed: int) -> None:
    """An index as `prepare` writes it, four scans a patient, and the files of a few."""
    random = np.random.default_rng(seed)
    lengths = []
    for kind in KINDS:
        (path / kind).mkdir(parents=True)
        written = write_volume(path / kind / "first.b2nd", voxels_of(kind, random))
        lengths.append(written.length)
        for number in range(FILES):
            (path / kind / f"{number:08}.b2nd").hardlink_to(path / kind / "first.b2nd")
    (path / "contract.json").write_text(json.dumps(PreprocessingContract().to_json()))
    affine = [np.eye(4).tolist()]
    with pq.ParquetWriter(path / "scans.parquet", SCHEMA, write_page_checksum=True) as file:
        for first in range(0, scans, ROWS):
            n = min(ROWS, scans - first)
            numbers = range(first, first + n)
            columns = {
                "id": [f"{number:08}" for number in numbers],
                "subject": [f"{(number * 7919 // 4) % scans:020x}" for number in numbers],
                "modality": [["ct"]] * n,
                "shape": [SHAPE] * n,
                "spacing": [(1.0, 1.0, 2.5)] * n,
                "affine": affine * n,
                "intensity_slope": [[1.0]] * n,
                "intensity_intercept": [[0.0]] * n,
                "foreground_fraction": random.random(n),
                "foreground_box": [((20, 20, 0), (268, 268, 128))] * n,
                "source_digest": [random.bytes(32).hex() for _ in numbers],
                "volume_digest": [random.bytes(32).hex() for _ in numbers],
                "split": random.choice(["train", "validation", "test"], n, p=[0.9, 0.05, 0.05]),
                "labelled": np.ones(n, dtype=bool),
                "warnings": [[]] * n,
                "fingerprint": list(random.integers(-127, 128, (n, SIZE), dtype=np.int8)),
                "detail": list(random.integers(-127, 128, (n, DETAIL_SIZE), dtype=np.int8)),
                "near_duplicate_of": pa.nulls(n, pa.string()),
                "file_lengths": [lengths] * n,
                "file_digests": [[random.bytes(32).hex() for _ in KINDS] for _ in numbers],
            }
            file.write_table(pa.table(columns, schema=SCHEMA))


def voxels_of(kind: str, random: np.random.Generator) -> Any:
    """A body of tissue around lungs, in air."""
    x, y, _ = np.ogrid[tuple(slice(-1, 1, length * 1j) for length in SHAPE)]
    body = np.broadcast_to((x / 0.85) ** 2 + (y / 0.7) ** 2 < 1, SHAPE)
    lungs = np.broadcast_to((x / 0.6) ** 2 + (y / 0.5) ** 2 < 1, SHAPE)
    if kind == "foreground":
        return body
    if kind == "labels":
        return np.asarray(body, dtype=np.uint8) + lungs
    noise = random.normal(0, 12, SHAPE)
    return (np.where(lungs, -850, np.where(body, 40, -1000)) + noise).astype(np.int16)[None]


def words_of(store: Store, chosen: argparse.Namespace) -> Words:
    """Words of boxes in 200 scans each, drawn from all."""
    random = np.random.default_rng(chosen.seed)
    contract = store.contract
    origin = WordOrigin(store.ids[0], (0.0, 0.0, 0.0))
    header = WordsHeader(
        CROP, "voxel", contract.spacing, contract.digest(), "", (origin,) * chosen.words
    )
    digests = store.columns["volume_digest"]
    members = []
    for word in range(chosen.words):
        for rank, scan in enumerate(random.choice(len(store), 200, replace=False).tolist()):
            start = tuple(random.integers(0, np.subtract(SHAPE, CROP)).tolist())
            box = Box(start, CROP)
            digest = digests[scan].as_py()
            members.append(
                Member(word, "training", store.ids[scan], digest, rank, 0.0, box, (box, box))
            )
    return Words(header, tuple(members))


def resident_mib() -> float:
    """Memory of this process that is in use now."""
    return status_mib("VmRSS")


def status_mib(name: str) -> float:
    """A field of this process's status; unlike `ru_maxrss` its peak is not that of its parent."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def unshared_mib(process: int | None) -> float:
    """Memory that a process shares with no other."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


if __name__ == "__main__":
    main()
