"""What a run starts from, and which cases it learns from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from labelled_store import write_store

from selfscan.checkpoints.checkpoint import Checkpoint, load, save
from selfscan.checkpoints.loading import tell_load_report
from selfscan.errors import ContractError, SelfscanError
from selfscan.networks.unet3d import UNet3DConfig
from selfscan.scans.contract import PreprocessingContract
from selfscan.scans.store import Store
from selfscan.training.start import (
    labelled_cases,
    labelled_split,
    require_fit,
    starting_point,
)

NETWORK = UNet3DConfig(width=2, norm="instance")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(write_store(tmp_path / "store"))


def write_checkpoint(folder: Path, **changes: object) -> Path:
    values = {
        "weights": {},
        "backbone": NETWORK,
        "in_channels": 1,
        "task": "pretraining",
        "contract": PreprocessingContract(),
        "window_hu": (-500.0, 500.0),
        "crop_size": (16, 16, 8),
    }
    save(Checkpoint(**(values | changes)), folder / "last.safetensors")  # type: ignore[arg-type]
    return folder


def test_a_checkpoint_decides_what_is_left_open(store: Store, tmp_path: Path) -> None:
    run = write_checkpoint(tmp_path / "run")
    start = starting_point(store, checkpoint=run, backbone=None, crop_size=None, window_hu=None)
    assert (start.backbone, start.window_hu, start.crop_size) == (
        NETWORK,
        (-500.0, 500.0),
        (16, 16, 8),
    )
    larger = starting_point(
        store, checkpoint=run, backbone=NETWORK, crop_size=(24, 24, 16), window_hu=None
    )
    assert larger.crop_size == (24, 24, 16)


def test_no_more_is_asked_of_a_checkpoint_than_it_has(store: Store, tmp_path: Path) -> None:
    run = write_checkpoint(tmp_path / "run", part="encoder")
    asked = {"checkpoint": run, "backbone": None, "crop_size": None, "window_hu": None}
    assert starting_point(store, **asked).part == "encoder"
    with pytest.raises(ValueError, match="part must be encoder, all that the checkpoint has"):
        starting_point(store, **asked, part="backbone")
    whole = write_checkpoint(tmp_path / "whole")
    assert starting_point(store, **asked | {"checkpoint": whole}).part == "backbone"
    assert starting_point(store, **asked | {"checkpoint": whole}, part="encoder").part == "encoder"


def test_from_scratch_everything_must_be_said(store: Store) -> None:
    with pytest.raises(ValueError, match="a backbone must be given"):
        starting_point(
            store, checkpoint=None, backbone=None, crop_size=(16, 16, 16), window_hu=None
        )
    with pytest.raises(ValueError, match="a crop_size must be given"):
        starting_point(store, checkpoint=None, backbone=NETWORK, crop_size=None, window_hu=None)
    start = starting_point(
        store, checkpoint=None, backbone=NETWORK, crop_size=(16, 16, 16), window_hu=None
    )
    assert start.window_hu == (-1000.0, 1000.0)


def test_contradictions_are_refused(store: Store, tmp_path: Path) -> None:
    run = write_checkpoint(tmp_path / "run")
    with pytest.raises(ValueError, match="backbone must be the checkpoint's"):
        starting_point(
            store, checkpoint=run, backbone=UNet3DConfig(width=4), crop_size=None, window_hu=None
        )
    with pytest.raises(ValueError, match="window_hu must be the checkpoint's"):
        starting_point(
            store, checkpoint=run, backbone=None, crop_size=None, window_hu=(-1000, 1000)
        )


def test_other_preprocessing_is_refused(store: Store, tmp_path: Path) -> None:
    run = write_checkpoint(tmp_path / "a", contract=PreprocessingContract(spacing=(1.0, 1.0, 2.0)))
    with pytest.raises(ContractError, match="spacing None where"):
        starting_point(store, checkpoint=run, backbone=None, crop_size=None, window_hu=None)


def test_other_channels_are_those_of_the_store(store: Store, tmp_path: Path) -> None:
    run = write_checkpoint(tmp_path / "a", in_channels=2)
    start = starting_point(store, checkpoint=run, backbone=None, crop_size=None, window_hu=None)
    assert start.in_channels == store.channels == 1
    with pytest.raises(ContractError, match="network for 2 channels; expected 1"):
        require_fit(load(run), store, path=run)


def test_building_depends_on_the_seed_alone(store: Store) -> None:
    start = starting_point(
        store, checkpoint=None, backbone=NETWORK, crop_size=(16, 16, 16), window_hu=None
    )
    first = start.build(seed=3).state_dict()
    torch.rand(5)
    again, other = start.build(seed=3).state_dict(), start.build(seed=4).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_crop_size_must_fit_the_network(store: Store) -> None:
    start = starting_point(
        store, checkpoint=None, backbone=NETWORK, crop_size=(16, 12, 16), window_hu=None
    )
    with pytest.raises(
        ValueError, match=r"divisible by \(8, 8, 8\) for UNet3D, got \(16, 12, 16\)"
    ):
        start.build(seed=0)


def test_cases_nest(store: Store) -> None:
    subsets = [labelled_cases(store, "train", n).ids for n in (1, 2, 3)]
    assert subsets[2][:2] == subsets[1]
    assert subsets[1][:1] == subsets[0]
    assert set(subsets[2]) == set(labelled_cases(store, "train", None).ids)
    assert labelled_cases(store, "train", ["scan-2", "scan-0"]).ids == ("scan-2", "scan-0")


def test_too_many_cases(store: Store) -> None:
    with pytest.raises(SelfscanError, match="found 3 labelled scans in the split 'train'"):
        labelled_cases(store, "train", 4)


def test_a_split_may_be_missing(store: Store) -> None:
    found = labelled_split(store, "validation")
    assert found is not None
    assert found.ids == ("scan-3",)
    assert labelled_split(store, "fold-1") is None
    assert labelled_split(store, None) is None


def test_from_scratch_there_is_no_report(tmp_path: Path) -> None:
    tell_load_report(None, tmp_path)
    assert json.loads((tmp_path / "load_report.json").read_text()) is None
