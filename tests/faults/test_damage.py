"""Files damaged after they were written: named, not learned from, and made again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from kill_many import files_of, write_scans
from labelled_store import write_store

from selfscan.checkpoints.checkpoint import load
from selfscan.errors import ScanError, SelfscanError
from selfscan.methods.models_genesis import ModelsGenesisConfig
from selfscan.networks.unet3d import UNet3DConfig
from selfscan.scans.crew import crew
from selfscan.scans.integrity import require_intact
from selfscan.scans.prepare import prepare
from selfscan.scans.store import Store
from selfscan.training.engine import EngineConfig
from selfscan.training.pretrain import PretrainRecipe, pretrain

ENGINE = EngineConfig(accelerator="cpu", precision="32-true")


def flip(path: Path, *, at: float = 0.9) -> None:
    """Turn one bit of a file, so far in."""
    content = bytearray(path.read_bytes())
    content[int(at * len(content))] ^= 4
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def learn(store: Path, out: Path, *, steps: int = 2, engine: EngineConfig = ENGINE) -> Path:
    return pretrain(
        store,
        out,
        method=ModelsGenesisConfig(crop_size=(16, 16, 16), shuffle_windows=20),
        backbone=UNet3DConfig(width=1),
        recipe=PretrainRecipe(steps=steps, validation_examples=2),
        engine=engine,
        resume=out.exists(),
    )


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return write_store(tmp_path / "store")


@pytest.mark.parametrize(
    ("kind", "harm", "found"),
    [
        ("volumes", flip, "other bytes than were written there"),
        ("volumes", cut, r"\d+ bytes where there were \d+"),
        ("foreground", flip, "other bytes than were written there"),
        ("labels", flip, "other bytes than were written there"),
        ("labels", Path.unlink, "no file"),
    ],
)
def test_damaged_files_are_named(
    store: Path, kind: str, harm: Callable[[Path], None], found: str
) -> None:
    require_intact(Store(store))
    harm(store / kind / "scan-1.b2nd")
    with pytest.raises(ScanError, match=rf"{kind}/scan-1.b2nd: found {found}; .*--resume"):
        require_intact(Store(store))
    require_intact(Store(store).select(ids=["scan-0", "scan-2"]))
    harm(store / "volumes" / "scan-0.b2nd")
    with pytest.raises(ScanError, match="and 1 more files that are damaged"):
        require_intact(Store(store))


def test_nothing_is_learned_from_a_damaged_file(store: Path, tmp_path: Path) -> None:
    flip(store / "volumes" / "scan-1.b2nd")
    with pytest.raises(ScanError, match=r"scan-1\.b2nd: found other bytes"):
        learn(store, tmp_path / "run")
    assert not (tmp_path / "run" / "state.ckpt").exists()
    unchecked = EngineConfig(accelerator="cpu", precision="32-true", check_files=False)
    assert load(learn(store, tmp_path / "run", engine=unchecked)).steps == 2


def test_a_cut_file_is_noticed_without_a_check(store: Path) -> None:
    cut(store / "foreground" / "scan-1.b2nd")
    with pytest.raises(ScanError, match=r"foreground/scan-1.b2nd: found \d+ bytes where there"):
        Store(store).read_foreground(1)


def test_a_store_without_digests_is_used_and_told(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pq.read_table(store / "scans.parquet")
    pq.write_table(table.drop(["file_lengths", "file_digests"]), store / "scans.parquet")
    require_intact(Store(store))
    assert "kept no digests" in capsys.readouterr().err
    assert Store(store).read(1).shape == (1, 24, 20, 16)


@pytest.mark.parametrize("name", ["scans.parquet", "contract.json", "labels.json"])
def test_a_damaged_index_is_no_store(store: Path, name: str) -> None:
    (store / name).write_bytes((store / name).read_bytes()[:-30])
    with pytest.raises(SelfscanError, match=f"{name}: found (no readable|a damaged index)"):
        Store(store)


def test_a_flipped_bit_of_the_index_is_noticed(store: Path) -> None:
    index = store / "scans.parquet"
    rows = Store(store)
    digest = rows[1].volume_digest.encode()
    flip(index, at=index.read_bytes().index(digest) / index.stat().st_size)
    with pytest.raises(SelfscanError, match=r"scans\.parquet: found a damaged index"):
        list(Store(store))


@pytest.mark.slow
def test_prepare_makes_damaged_files_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scans, out = write_scans(tmp_path / "scans", 4), tmp_path / "out"
    with crew(1) as client:
        there = client.scheduler_info()["address"]
        prepare(scans, out, scheduler=there)
        whole = files_of(out)
        flip(out / "volumes" / "scan0.b2nd")
        cut(out / "foreground" / "scan1.b2nd")
        notes = [
            next(path for path in (out / "records").iterdir() if f'"{name}"' in path.read_text())
            for name in ("scan2", "scan3")
        ]
        flip(notes[0], at=0.5)
        cut(notes[1])
        prepare(scans, out, scheduler=there, resume=True)
        assert files_of(out) == whole
        assert "volumes/scan0.b2nd: found other bytes" in capsys.readouterr().err

        more = write_scans(tmp_path / "more", 5)
        for old in [more / f"scan{n}.nii.gz" for n in range(4)]:
            old.unlink()
        flip(out / "volumes" / "scan2.b2nd")
        shutil.rmtree(scans)
        store = prepare(more, out, scheduler=there, resume=True)
        assert store.ids == ("scan0", "scan1", "scan3", "scan4")
        rows = pq.read_table(out / "rejected.parquet").to_pylist()
        assert {row["path"] for row in rows} == {"scan2", str(more / "broken.nii.gz")}
        assert "its stored file was damaged: found other bytes" in str(rows)


@pytest.mark.parametrize("at", [0.02, 0.3, 0.5, 0.7, 0.99])
def test_a_damaged_checkpoint_is_not_loaded(store: Path, tmp_path: Path, at: float) -> None:
    out = learn(store, tmp_path / "run")
    flip(out / "best.safetensors", at=at)
    with pytest.raises(SelfscanError, match=r"best\.safetensors: found (other contents|no readab)"):
        load(out)


def test_a_damaged_state_is_not_resumed_from(store: Path, tmp_path: Path) -> None:
    out = learn(store, tmp_path / "run")
    state = out / "state.ckpt"
    for harm in (flip, cut):
        whole = state.read_bytes()
        harm(state)
        with pytest.raises(SelfscanError, match=r"state\.ckpt: found a damaged file"):
            learn(store, out)
        state.write_bytes(whole)
    torch.load(state, weights_only=True)
