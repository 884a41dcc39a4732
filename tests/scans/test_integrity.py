from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from selfscan.errors import ScanError
from selfscan.scans import integrity
from selfscan.scans.integrity import CHECKED, require_intact
from selfscan.scans.store import Store


@pytest.fixture
def store(make_store, random: np.random.Generator) -> Store:
    return make_store([random.integers(-900, 900, (9, 7, 8)).astype(np.int16) for _ in range(3)])


@pytest.fixture
def large(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The store as one that remembers, its files written long ago."""
    monkeypatch.setattr(integrity, "_LARGE", 0)
    monkeypatch.setattr(integrity, "_SETTLED_NS", -1)
    monkeypatch.setattr(integrity, "_whole", set())
    return store


@pytest.fixture
def new_process(monkeypatch: pytest.MonkeyPatch):
    """Forget what this process knows."""
    return lambda: monkeypatch.setattr(integrity, "_whole", set())


@pytest.fixture
def nothing_can_be_read(monkeypatch: pytest.MonkeyPatch):
    """From now on every file that is read seems empty, and thus damaged."""
    return lambda: monkeypatch.setattr(integrity, "_BUFFER", 0)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 4
    path.write_bytes(content)


def test_the_next_run_on_a_large_store_reads_what_is_new(
    large: Store, new_process, nothing_can_be_read
) -> None:
    some = large.select(ids=["scan-0", "scan-2"])
    require_intact(some)
    new_process()
    nothing_can_be_read()
    require_intact(some)
    with pytest.raises(ScanError, match=r"volumes/scan-1.b2nd: .* and 1 more files"):
        require_intact(large)


def test_a_small_store_is_read_as_a_whole_each_time(
    store: Store, new_process, nothing_can_be_read
) -> None:
    require_intact(store)
    assert not (store.path / CHECKED).exists()
    new_process()
    nothing_can_be_read()
    with pytest.raises(ScanError, match="and 5 more files"):
        require_intact(store)


@pytest.mark.parametrize("same_process", [True, False])
def test_a_changed_file_is_noticed_though_its_times_were_set_back(
    large: Store, new_process, same_process: bool
) -> None:
    require_intact(large)
    file = large.file("volumes", 1)
    before = file.stat()
    flip(file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    if not same_process:
        new_process()
    with pytest.raises(ScanError, match=r"volumes/scan-1.b2nd: found other bytes"):
        require_intact(large)


def test_a_file_written_just_now_is_not_remembered(
    large: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integrity, "_SETTLED_NS", 10**18)
    require_intact(large)
    assert not (large.path / CHECKED).exists()
    assert not integrity._whole


def test_a_clock_that_was_set_back_has_files_read_again(
    large: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integrity.time, "time_ns", lambda: 0)
    require_intact(large)
    assert not (large.path / CHECKED).exists()


def test_a_damaged_memory_costs_a_reading(large: Store, new_process, nothing_can_be_read) -> None:
    require_intact(large)
    memory = large.path / CHECKED
    whole = memory.read_bytes()
    memory.write_bytes(b"\xff\xfe" + whole[7:-30])
    new_process()
    require_intact(large)
    assert len(memory.read_bytes()) < 2 * len(whole)
    new_process()
    nothing_can_be_read()
    require_intact(large)


def test_a_store_that_cannot_be_written_to_is_checked(large: Store) -> None:
    (large.path / CHECKED).mkdir()
    require_intact(large)
    flip(large.file("foreground", 2))
    with pytest.raises(ScanError, match=r"foreground/scan-2.b2nd: found other bytes"):
        require_intact(large)
