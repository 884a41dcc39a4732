"""Kill `prepare` and `pretrain` at random moments, resume, and compare with an unbroken run.

    python tests/faults/kill_many.py --times 20

The whole process group gets SIGKILL: main process, Dask workers, loaders. The moment is drawn from
the whole of a run: while it starts, while it works, and after the last piece of work. Verbs run in
forks of this process, so that what is killed is their work and not, for the most part, imports.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import torch

import selfscan.scans.prepare
import selfscan.training.pretrain  # noqa: F401 - imported once, for all forks
from selfscan.cli import main as selfscan_main

SCANS, STEPS = 8, 12
PRETRAIN = [
    *("--method", "models-genesis", "--method.crop_size", "[16,16,16]"),
    *("--method.batch_size", "2", "--method.shuffle_windows", "20"),
    *("--backbone", "unet3d", "--backbone.width", "1", "--recipe.accumulate", "2"),
    *("--recipe.steps", str(STEPS), "--recipe.checkpoint_every", "3"),
    *("--recipe.validate_every", "4", "--recipe.validation_examples", "2"),
    *("--recipe.log_every", "1", "--engine.accelerator", "cpu", "--engine.workers", "2"),
]


@dataclass(frozen=True)
class Verb:
    """A command that is killed.

    Attributes:
        name: Of the verb.
        command: From the folder it writes to the arguments, without --resume.
        pieces: Of work in a run.
        done: How many of them a folder shows.
        results: What must be equal, by name.
    """

    name: str
    command: Callable[[Path], list[str]]
    pieces: int
    done: Callable[[Path], int]
    results: Callable[[Path], dict[str, bytes]]


def write_scans(folder: Path, count: int = SCANS) -> Path:
    """Small CTs of bodies that differ, and a file that is none."""
    folder.mkdir(parents=True)
    for number in range(count):
        draw = np.random.default_rng(number)
        voxels = draw.integers(-1000, -900, (24, 20, 16)).astype(np.int16)
        x, y, z = draw.integers(1, 6, 3)
        voxels[x : x + 14, y : y + 10, z : z + 8] = draw.integers(-100, 400, (14, 10, 8))
        nib.save(nib.Nifti1Image(voxels, np.eye(4)), folder / f"scan{number}.nii.gz")
    (folder / "broken.nii.gz").write_bytes(b"")
    return folder


def preparing(scans: Path) -> Verb:
    return Verb(
        "prepare",
        lambda out: ["prepare", str(scans), str(out), "--workers", "2"],
        SCANS,
        lambda out: len(list(out.glob("records/[!.]*.json"))),
        files_of,
    )


def pretraining(store: Path) -> Verb:
    return Verb(
        "pretrain",
        lambda out: ["pretrain", str(store), str(out), *PRETRAIN],
        STEPS,
        _steps,
        lambda out: {
            name: content
            for name, content in files_of(out).items()
            if not name.startswith(("log.txt", "tensorboard"))  # hold times
        },
    )


def files_of(folder: Path) -> dict[str, bytes]:
    """All files below a folder by their names, those of killed writers too."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def start(verb: Verb, out: Path, *, resume: bool = False) -> int:
    """Start a verb as the leader of a process group; its number."""
    sys.stdout.flush()
    if child := os.fork():
        return child
    code = 1
    try:
        os.setsid()
        log = os.open(out.parent / f"{verb.name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        torch.set_num_threads(1)
        code = selfscan_main([*verb.command(out), *(["--resume"] if resume else [])])
    finally:
        os._exit(code)


def finish(verb: Verb, out: Path, *, resume: bool = False) -> dict[str, bytes]:
    """Run a verb to its end; what came out, with the name of the folder left out."""
    _, status = os.waitpid(start(verb, out, resume=resume), 0)
    if status:
        raise RuntimeError(f"{verb.name} failed; see {out.parent / verb.name}.log")
    return {
        name: content.replace(str(out).encode(), b"OUT")
        for name, content in verb.results(out).items()
    }


def kill_once(verb: Verb, out: Path, draw: random.Random, *, startup: float) -> int:
    """Start a verb and kill its process group; how many pieces were done at that moment."""
    piece = draw.randint(-1, verb.pieces)
    leader = start(verb, out)
    if piece == -1:
        time.sleep(draw.uniform(0, startup))
    else:
        while verb.done(out) < piece:
            if os.waitpid(leader, os.WNOHANG)[0]:
                raise RuntimeError(f"{verb.name} ended early; see {out.parent / verb.name}.log")
            time.sleep(0.005)
        time.sleep(draw.uniform(0, 0.3))
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)
    os.waitpid(leader, 0)
    return verb.done(out)


def kill_many(verb: Verb, folder: Path, *, times: int, seed: int = 0) -> list[tuple[int, bool]]:
    """Kill a verb so many times, each time anew, and resume it.

    Returns:
        For each time how many pieces were done, and whether the end is that of an unbroken run.
    """
    folder.mkdir(parents=True)
    began = time.monotonic()
    whole = finish(verb, folder / "whole")
    startup = (time.monotonic() - began) / 2
    draw, found = random.Random(seed), []
    for number in range(times):
        out = folder / f"killed{number}"
        done = kill_once(verb, out, draw, startup=startup)
        equal = finish(verb, out, resume=out.exists()) == whole
        found.append((done, equal))
        print(f"{verb.name}: {done} of {verb.pieces} done, equal: {equal}", file=sys.stderr)
        shutil.rmtree(out)
    return found


def _steps(out: Path) -> int:
    metrics = out / "metrics.csv"
    rows = metrics.read_text().splitlines()[1:] if metrics.exists() else []
    steps = [row.split(",")[0] for row in rows if "," in row]
    return max((int(step) for step in steps if step.isdigit()), default=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--verbs", nargs="+", default=["prepare", "pretrain"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where to work; a temporary one by default")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        verbs = [preparing(write_scans(folder / "scans")), pretraining(folder / "store")]
        if "pretrain" in arguments.verbs:
            finish(verbs[0], folder / "store")
        print("| verb | killed | ended as an unbroken run | pieces done when killed |")
        print("|---|---|---|---|", flush=True)
        for verb in verbs:
            if verb.name not in arguments.verbs:
                continue
            found = kill_many(verb, folder / verb.name, times=arguments.times, seed=arguments.seed)
            equal = sum(same for _, same in found)
            moments = ", ".join(str(done) for done in sorted(done for done, _ in found))
            row = (verb.name, len(found), equal, f"{moments} of {verb.pieces}")
            print(f"| {' | '.join(map(str, row))} |", flush=True)


if __name__ == "__main__":
    main()
