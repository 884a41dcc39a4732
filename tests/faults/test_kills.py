"""Processes killed while they work: all at once and resumed, or one worker of several."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from distributed import KilledWorker
from kill_many import files_of, write_scans

from selfscan.scans.crew import crew, spread
from selfscan.scans.prepare import prepare

FOLDER = Path(__file__).parent


@pytest.mark.slow
def test_what_was_killed_and_resumed_ends_as_what_was_not(tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, FOLDER / "kill_many.py", "--times", "2", "--folder", tmp_path],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert found.returncode == 0, found.stderr
    rows = [line.strip("| ").split(" | ") for line in found.stdout.splitlines()[2:]]
    assert [row[:3] for row in rows] == [["prepare", "2", "2"], ["pretrain", "2", "2"]]


def die_of_poison(name: str) -> str:
    if name == "poison":
        os.kill(os.getpid(), signal.SIGKILL)
    return name


@pytest.mark.slow
def test_only_a_task_that_kills_its_worker_when_alone_is_given_up() -> None:
    with crew(1) as client:
        results = dict(spread(client, die_of_poison, ["poison", "behind it", "last"]))
    assert isinstance(results.pop("poison"), KilledWorker)
    assert results == {name: name for name in ("behind it", "last")}


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)


@contextmanager
def cluster(folder: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler and two workers, as an administrator starts them: its address, and the workers.

    Nobody looks after the workers: one that is killed stays away.
    """
    dask = [sys.executable, "-m", "dask"]
    told = folder / "scheduler.json"
    with ExitStack() as stack:

        def start(*arguments: object) -> subprocess.Popen[bytes]:
            process = subprocess.Popen(
                [*dask, *map(str, arguments)], stderr=(folder / "dask.log").open("ab")
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
            return process

        head = start(
            *("scheduler", "--port", "0", "--dashboard-address", ":0"),
            *("--host", "127.0.0.1", "--scheduler-file", told),
        )
        wait_for(told, head)
        address = json.loads(told.read_text())["address"]
        options = ("--nthreads", "1", "--no-nanny", "--local-directory", folder)
        yield address, [start("worker", address, *options) for _ in range(2)]


@pytest.mark.slow
def test_a_cluster_writes_the_store_that_one_machine_writes_though_a_worker_is_killed(
    tmp_path: Path,
) -> None:
    scans, out = write_scans(tmp_path / "scans", 10), tmp_path / "out"
    with crew(1) as client:
        prepare(scans, out, scheduler=client.scheduler_info()["address"])
    out.rename(tmp_path / "local")
    with cluster(tmp_path) as (address, workers):
        prepare(scans, out, scheduler=address)
        assert files_of(out) == files_of(tmp_path / "local")
        out.rename(tmp_path / "both")
        arguments = [sys.executable, "-m", "selfscan", "prepare", scans, out]
        process = subprocess.Popen([*arguments, "--scheduler", address])
        while len(list(out.glob("records/[!.]*.json"))) < 2:
            assert process.poll() is None
            time.sleep(0.01)
        workers[0].kill()
        assert process.wait() == 0
    assert files_of(out) == files_of(tmp_path / "local")
    (row,) = pq.read_table(out / "rejected.parquet").to_pylist()
    assert row["path"].endswith("broken.nii.gz")
