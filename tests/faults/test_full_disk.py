"""A disk that is full: the run ends with the file's name, and goes on once there is room."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from kill_many import files_of, write_scans
from labelled_store import write_store
from test_damage import learn

from selfscan.files import WriteError
from selfscan.scans.crew import crew
from selfscan.scans.prepare import prepare


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 100 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", folder], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("only who may mount a file system can fill one")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def enlarge(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=50m", disk], check=True)


@pytest.mark.slow
def test_prepare_ends_and_goes_on_where_there_is_room(tmp_path: Path, disk: Path) -> None:
    scans, out = write_scans(tmp_path / "scans"), disk / "out"
    with crew(1) as client:
        there = client.scheduler_info()["address"]
        with pytest.raises(WriteError, match=r"disk/out/.*: No space left on device; .*--resume"):
            prepare(scans, out, scheduler=there)
        assert not (out / "scans.parquet").exists()
        enlarge(disk)
        assert len(prepare(scans, out, scheduler=there, resume=True)) == 8
        resumed = files_of(out)
        shutil.rmtree(out)
        prepare(scans, out, scheduler=there)
        assert files_of(out) == resumed


def test_pretrain_ends_and_goes_on_where_there_is_room(tmp_path: Path, disk: Path) -> None:
    store, out = write_store(tmp_path / "store"), disk / "run"
    whole = learn(store, tmp_path / "whole")
    with pytest.raises(WriteError, match=r"disk/run/.*: No space left on device; .*--resume"):
        learn(store, out)
    enlarge(disk)
    for name in ("last.safetensors", "best.safetensors", "metrics.csv"):
        assert (learn(store, out) / name).read_bytes() == (whole / name).read_bytes()
