"""A place where nothing can be written: one error before any work, and no trace once it may be."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kill_many import files_of, write_scans
from labelled_store import write_store
from test_damage import ENGINE, learn

from selfscan.errors import SelfscanError
from selfscan.evaluation import compare as compare_verb
from selfscan.evaluation.compare import compare
from selfscan.evaluation.inspect import inspect
from selfscan.files import WriteError
from selfscan.scans.crew import crew
from selfscan.scans.prepare import prepare
from selfscan.training.finetune import FinetuneRecipe

SAID = r"cannot be written: (Read-only file system|Permission denied); .*see to the permissions"


class Place:
    """A folder that can be locked against writing, and opened again."""

    def __init__(self, folder: Path, *, mounted: bool) -> None:
        self.folder, self._mounted = folder, mounted

    def lock(self) -> None:
        self._change("ro", 0o555)

    def open(self) -> None:
        self._change("rw", 0o755)

    def _change(self, option: str, mode: int) -> None:
        if self._mounted:
            subprocess.run(["mount", "-o", f"remount,{option}", self.folder], check=True)
            return
        for path in (self.folder, *self.folder.rglob("*")):
            path.chmod(mode if path.is_dir() else mode & 0o666)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A file system of its own where mounting is permitted, else a folder without permissions."""
    folder = tmp_path / "place"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=50m", "tmpfs", folder]
    mounted = subprocess.run(command, capture_output=True).returncode == 0
    if not mounted and os.geteuid() == 0:
        pytest.skip("no permission stops root, who may not mount a read-only file system here")
    place = Place(folder, mounted=mounted)
    yield place
    place.open()
    if mounted:
        subprocess.run(["umount", "--lazy", folder], check=True)


def too_late(*_: Any, **__: Any) -> None:
    raise AssertionError("work began, whose results would have had no place")


@pytest.mark.slow
def test_prepare_says_so_at_the_start_and_ends_once_it_may_write(
    tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans, out = write_scans(tmp_path / "scans", 3), place.folder / "out"
    with crew(1) as client:
        there = client.scheduler_info()["address"]

        def run(**more: Any) -> dict[str, bytes]:
            prepare(scans, out, scheduler=there, **more)
            return files_of(out)

        with monkeypatch.context() as patched:
            for module in ("prepare", "dry_run"):
                patched.setattr(f"selfscan.scans.{module}.ingest_each", too_late)
            place.lock()
            for more in (
                {},
                {"sources_table": place.folder / "table.csv"},
                {"dry_run_table": place.folder / "list.csv"},
            ):
                with pytest.raises(WriteError, match=SAID) as raised:
                    run(**more)
                assert str(place.folder) in str(raised.value)
            place.open()
            out.mkdir()
            place.lock()
            with pytest.raises(WriteError, match=SAID):
                run()
        place.open()
        done = run()
        place.lock()
        with pytest.raises(WriteError, match=SAID):
            run(overwrite=True)
        assert files_of(out) == done
        place.open()
        shutil.rmtree(out)
        assert run() == done


def test_pretrain_says_so_at_the_start_and_ends_once_it_may_write(
    tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, out = write_store(tmp_path / "store"), place.folder / "run"
    place.lock()
    with monkeypatch.context() as patched:
        patched.setattr("selfscan.training.pretrain.fit", too_late)
        patched.setattr("selfscan.training.pretrain.require_intact_on_each_node", too_late)
        with pytest.raises(SelfscanError, match=rf"run.*{SAID}"):
            learn(store, out)
    place.open()
    whole = files_of(learn(store, tmp_path / "whole"))
    again = files_of(learn(store, out))
    for name in ("last.safetensors", "best.safetensors", "metrics.csv", "seen.parquet"):
        assert again[name] == whole[name]


def test_a_store_that_is_read_only_is_learned_from(tmp_path: Path, place: Place) -> None:
    store = write_store(place.folder / "store")
    whole = learn(store, tmp_path / "whole")
    place.lock()
    again = learn(store, tmp_path / "run")
    assert (again / "last.json").read_bytes() == (whole / "last.json").read_bytes()


def test_pages_and_reports_say_so_before_they_are_made(
    tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = write_store(place.folder / "store")
    run = learn(store, tmp_path / "run")
    place.lock()

    def compared() -> Path:
        return compare(
            store,
            place.folder / "comparison",
            labels=[2],
            seeds=[0],
            checkpoints=[run],
            recipe=FinetuneRecipe(steps=1, batch_size=1, validate_every=1, overlap=0.0),
            engine=ENGINE,
        )

    verbs: dict[str, Callable[[], Path]] = {
        "inspect": lambda: inspect(store, workers=1),
        "comparison": compared,
    }
    with monkeypatch.context() as patched:
        patched.setattr("selfscan.evaluation.inspect.look_at", too_late)
        for name in ("require_intact", "run_cells"):
            patched.setattr(compare_verb, name, too_late)
        for verb in verbs.values():
            with pytest.raises(WriteError, match=SAID):
                verb()
    assert inspect(store, out=tmp_path, workers=1).is_file()
    place.open()
    for verb in verbs.values():
        assert verb().is_file()
