"""A clock that is set while a verb works, and files that seem to come from another year."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from clock import Clock
from kill_many import Verb, preparing, pretraining, write_scans

YEAR = 365 * 24 * 3600
RUN = "import sys; from selfscan.cli import main; sys.exit(main(sys.argv[1:]))"


def start(verb: Verb, out: Path, clock: Clock, *more: str) -> subprocess.Popen[bytes]:
    with out.with_suffix(".log").open("ab") as said:
        return subprocess.Popen(
            [sys.executable, "-c", RUN, *verb.command(out), *more],
            stdout=said,
            stderr=said,
            env=clock.environment,
            start_new_session=True,
        )


def wait_for(pieces: int, verb: Verb, out: Path, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 120
    while verb.done(out) < pieces:
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.005)


def finish(verb: Verb, out: Path, process: subprocess.Popen[bytes]) -> dict[str, bytes]:
    """What came out, with the name of the folder left out; no time left was negative."""
    said = out.with_suffix(".log")
    assert process.wait() == 0, said.read_text()
    assert re.search(rf"{verb.name}: \d+/\d+ .*\d s left", said.read_text())
    assert not re.search(r"-\d[\d.]*(?:/s| s left)", said.read_text())
    return {
        file: content.replace(str(out).encode(), b"OUT")
        for file, content in verb.results(out).items()
    }


def set_clock_and_kill(verb: Verb, out: Path, clock: Clock, jump: int) -> dict[str, bytes]:
    """Set the clock in the middle, later kill the verb, move its files in time, and resume it."""
    clock.set(0)
    process = start(verb, out, clock)
    wait_for(2, verb, out, process)
    clock.set(jump)
    wait_for(4, verb, out, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for file in out.rglob("*"):
        moved = file.stat().st_mtime + jump
        os.utime(file, (moved, moved))
    return finish(verb, out, start(verb, out, clock, "--resume"))


@pytest.mark.slow
def test_a_verb_ends_as_if_the_clock_had_not_been_set(tmp_path: Path) -> None:
    clock, store = Clock(tmp_path / "clock"), tmp_path / "prepare"
    for verb in (preparing(write_scans(tmp_path / "scans")), pretraining(store)):
        out = tmp_path / verb.name
        whole = finish(verb, out, start(verb, out, clock))
        for jump, name in ((YEAR, "forward"), (-YEAR, "back")):
            out = tmp_path / f"{verb.name}-{name}"
            assert set_clock_and_kill(verb, out, clock, jump) == whole, out.name
            clock.set(0)
    # The clock was set indeed: TensorBoard names its files by it.
    boards = (out / "tensorboard").iterdir()
    begun = sorted(int(file.name.split(".")[3]) for file in boards)
    assert abs(begun[-1] - begun[0] - YEAR) < 600
