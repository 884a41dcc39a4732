"""Readers given changed files, by the hundred thousand: a scan or an error that says what to do.

    python tests/hostile/fuzz.py --inputs nifti=30000 "dicom series=500" --out FOLDER

Any other exception, a crash, more than ten seconds or more than half a gigabyte for one small file
is a finding. Input number i of a target is a function of (seed, target, i), so that it can be made
again by `--show nifti:17`. What is done stays in FOLDER, and the same command goes on with it.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

from seeds import Seed, data_folder, emptied, lay_out
from targets import TARGETS

from selfscan.errors import SelfscanError

SECONDS = 10
MEMORY = 512 << 20
ADDRESSES = 3 << 30  # beyond those of the process before its first input
_CHUNK = 20_000


def make_input(target: str, seeds: list[Seed], seed: int, i: int, folder: Path) -> str:
    """Write input number i into an empty folder; the name of the file that is not as it was."""
    draw = random.Random(f"{seed}/{target}/{i}")
    chosen = draw.choice(seeds)
    name = draw.choice(chosen.changed)
    lay_out(chosen, folder)
    (folder / name).write_bytes(TARGETS[target].change(chosen.files[name], draw))
    return name


def outcome(target: str, folder: Path, name: str) -> tuple[str, str]:
    """One word for what became of an input, and the end of the traceback of what should not be."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            TARGETS[target].read(folder, name)
    except SelfscanError:
        return "refused", ""
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        own = [f for f in traceback.extract_tb(error.__traceback__) if "/selfscan/" in f.filename]
        place = f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else ""
        said = f"{type(error).__name__}: {str(error)[:200]} ({place}, {Path(last.filename).name})"
        return "finding", said
    return "read", ""


def work(target: str, seed: int, first: int, past: int, report: Path) -> None:
    """Inputs first to past - 1 in this process; `report` says how far it is."""
    base = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
    told = os.open(report, os.O_CREAT | os.O_WRONLY)
    counts, slowest = {"read": 0, "refused": 0, "finding": 0}, 0.0
    with tempfile.TemporaryDirectory(dir=base) as temporary:
        folder = Path(temporary)
        seeds = TARGETS[target].seeds(emptied(folder / "seeds"), data_folder())
        limit = _addresses() + ADDRESSES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        for i in range(first, past + 1):
            state = {"i": i, "slowest": round(slowest, 3), **counts}
            os.pwrite(told, json.dumps(state).ljust(120).encode(), 0)
            if i == past:
                break
            name = make_input(target, seeds, seed, i, emptied(folder / "input"))
            before, began = _forget_most_memory(), time.perf_counter()
            faulthandler.dump_traceback_later(SECONDS, exit=True)
            word, said = outcome(target, folder / "input", name)
            faulthandler.cancel_dump_traceback_later()
            slowest = max(slowest, time.perf_counter() - began)
            if _most_memory() - before > MEMORY:
                word, said = "finding", f"took {(_most_memory() - before) >> 20} MiB"
            counts[word] += 1
            if word == "finding":
                print(json.dumps([i, said]), flush=True)


def campaign(target: str, seed: int, inputs: int, out: Path) -> None:
    """All inputs of one target, in processes that begin again after one that ends them."""
    done = out / f"{target.replace(' ', '_')}-{seed}.jsonl"
    lines = [json.loads(line) for line in done.read_text().splitlines()] if done.exists() else []
    first = lines[-1]["i"] if lines else 0
    while first < inputs:
        past = min(first + _CHUNK, inputs)
        report = out / f".{done.stem}.json"
        report.unlink(missing_ok=True)
        began = time.perf_counter()
        order = ["--work", target, str(first), str(past), str(report), "--seed", str(seed)]
        process = subprocess.run(
            [sys.executable, __file__, *order], capture_output=True, text=True, errors="replace"
        )
        if not report.exists():
            sys.exit(process.stderr)
        told = json.loads(report.read_text())
        told["findings"] = [json.loads(x) for x in process.stdout.splitlines() if x[:1] == "["]
        told["seconds"] = round(time.perf_counter() - began)
        if told["i"] < past:  # the process ended at this input
            how = "hung" if "Timeout (" in process.stderr else f"ended by {process.returncode}"
            told["findings"].append([told["i"], f"{how}: {process.stderr[-400:]}"])
            told["i"], told["finding"] = told["i"] + 1, told["finding"] + 1
        with done.open("a") as file:
            file.write(json.dumps(told) + "\n")
        first = told["i"]


def tell(out: Path) -> None:
    """What the campaigns in a folder found."""
    for file in sorted(out.glob("*.jsonl")):
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        read, refused, found = (
            sum(line[word] for line in lines) for word in ("read", "refused", "finding")
        )
        slowest = max(line["slowest"] for line in lines)
        seconds = sum(line.get("seconds", 0) for line in lines)
        print(
            f"{file.stem}: {read + refused + found:,} inputs, {read:,} read, {refused:,} refused, "
            f"{found:,} findings, slowest {slowest:.1f} s, {seconds:,} s in all"
        )
        kinds = Counter(said for line in lines for _, said in line["findings"])
        first = {said: i for line in reversed(lines) for i, said in reversed(line["findings"])}
        for said, count in kinds.most_common():
            print(f"  {count} times, first input {first[said]}: {said}")


def _addresses() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _forget_most_memory() -> int:
    """What the process takes now, from which on its most is counted anew."""
    Path("/proc/self/clear_refs").write_text("5")
    return _most_memory()


def _most_memory() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", nargs="*", default=[], help="TARGET=COUNT")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--show", help="TARGET:NUMBER, read in this process")
    parser.add_argument("--keep", type=Path, help="an empty folder for the files of --show")
    parser.add_argument("--work", nargs=4, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.work:
        target, first, past, report = chosen.work
        work(target, chosen.seed, int(first), int(past), Path(report))
        return
    if chosen.show:
        target, number = chosen.show.rsplit(":", 1)
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            seeds = TARGETS[target].seeds(emptied(folder / "seeds"), data_folder())
            place = emptied(chosen.keep or folder / "input")
            name = make_input(target, seeds, chosen.seed, int(number), place)
            print(name, TARGETS[target].read(place, name))
        return
    chosen.out.mkdir(parents=True, exist_ok=True)
    for given in chosen.inputs:
        target, count = given.split("=")
        campaign(target, chosen.seed, int(count), chosen.out)
    tell(chosen.out)


if __name__ == "__main__":
    main()
