"""Pretext tasks: views keyed by example, validation that is always the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from labelled_store import write_store

from selfscan.methods.method import Method
from selfscan.methods.models_genesis import ModelsGenesisConfig
from selfscan.networks.unet3d import UNet3DConfig
from selfscan.scans.crops import Batch, CropDataset, collate
from selfscan.scans.store import Store
from selfscan.training.pretext import PretextTask, PretextValidation, draw_views


@pytest.fixture
def method() -> Method:
    torch.manual_seed(2)
    config = ModelsGenesisConfig(crop_size=(16, 16, 16), shuffle_windows=20)
    return config.build(UNet3DConfig(width=1, norm="instance").build(1))


@pytest.fixture
def dataset(tmp_path: Path, method: Method) -> CropDataset:
    return CropDataset(Store(write_store(tmp_path / "store")), method.crops, seed=1, length=6)


def batch(dataset: CropDataset, *numbers: int) -> Batch:
    return collate([dataset[number] for number in numbers])


def test_an_example_has_the_same_views_in_any_batch(method: Method, dataset: CropDataset) -> None:
    together = draw_views(method, batch(dataset, 0, 1, 2), seed=3)
    alone = draw_views(method, batch(dataset, 2), seed=3)
    other = draw_views(method, batch(dataset, 2), seed=4)
    for name, view in alone.items():
        assert torch.equal(view[0], together[name][2])
        assert not view.requires_grad
    assert any(not torch.equal(view, other[name]) for name, view in alone.items())


def test_views_are_drawn_in_full_precision(method: Method, dataset: CropDataset) -> None:
    exact = draw_views(method, batch(dataset, 0), seed=3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = draw_views(method, batch(dataset, 0), seed=3)
    assert all(torch.equal(view, mixed[name]) for name, view in exact.items())


def test_losses_reach_the_whole_network(method: Method, dataset: CropDataset) -> None:
    task = PretextTask(method, seed=3)
    task(batch(dataset, 0, 1)).total.backward()
    assert all(weight.grad is not None for weight in method.parameters())


def test_the_hook_reaches_the_method(method: Method, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[int] = []
    monkeypatch.setattr(method, "after_step", heard.append)
    PretextTask(method, seed=3).after_step(9)
    assert heard == [9]


@torch.no_grad()
def test_a_validation_is_the_mean_over_its_batches_and_the_same_again(
    method: Method, dataset: CropDataset, tmp_path: Path
) -> None:
    batches = [batch(dataset, 0, 1), batch(dataset, 2, 3)]
    validation = PretextValidation(
        PretextTask(method, seed=3), batches, seed=3, picture=tmp_path / "examples.npz"
    )
    values = validation()
    task = PretextTask(method, seed=3)
    losses = [float(task(one).total) for one in batches]
    assert values["loss"] == pytest.approx(np.mean(losses))
    assert set(values) == {"loss", *task(batches[0]).losses, *task(batches[0]).monitors}
    assert validation() == values


@torch.no_grad()
def test_a_validation_keeps_pictures_of_its_first_examples(
    method: Method, dataset: CropDataset, tmp_path: Path
) -> None:
    picture = tmp_path / "examples.npz"
    PretextValidation(
        PretextTask(method, seed=3), [batch(dataset, *range(6))], seed=3, picture=picture
    )()
    with np.load(picture) as shown:
        assert {"input", "output", "target"} <= set(shown)
        assert all(shown[name].shape == (4, 1, 16, 16, 16) for name in shown)
        assert all(shown[name].dtype == np.float16 for name in shown)
        target = draw_views(method, batch(dataset, 0), seed=3)["target"]
        assert np.allclose(shown["target"][0], target[0], atol=1e-3)
