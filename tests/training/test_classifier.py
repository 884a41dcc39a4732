"""A classifier of whole scans: what it pools, how windows count, and how it is read again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from selfscan.checkpoints.checkpoint import Checkpoint, save
from selfscan.checkpoints.loading import weights_of
from selfscan.errors import SelfscanError
from selfscan.networks.unet3d import UNet3D, UNet3DConfig
from selfscan.scans.contract import PreprocessingContract
from selfscan.training.classifier import Classifier, classify_volume, load_classifier

NAMES = {0: "ill", 1: "well"}
WINDOW = (-1000.0, 1000.0)


def classifier(*, seed: int = 0) -> Classifier:
    torch.manual_seed(seed)
    return Classifier(
        UNet3D(1, width=2, norm="instance"), label_names=NAMES, window_hu=WINDOW
    ).eval()


class Brightness(nn.Module):
    """Its logits are the mean intensity of a crop and nothing; shares the interface."""

    window_hu = WINDOW
    backbone = UNet3D(1, width=2, norm="instance")

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        means = volumes.mean((1, 2, 3, 4))
        return torch.stack([means, torch.zeros_like(means)], dim=1)


def test_the_head_reads_the_means_of_all_maps_of_the_encoder() -> None:
    model, volumes = classifier(), torch.rand(2, 1, 16, 16, 16)
    means = [level.mean((2, 3, 4)) for level in model.backbone.encode(volumes)]
    torch.testing.assert_close(model(volumes), model.head(torch.cat(means, dim=1)))


def test_means_are_standardized_over_crops_once_and_for_all() -> None:
    model, volumes = classifier(), torch.rand(4, 1, 16, 16, 16)
    model.train().standardize([volumes[:3], volumes[3:]])
    assert model.training
    ready = (model.eval().pooled(volumes) - model.center) / model.deviation
    torch.testing.assert_close(ready.mean(0), torch.zeros_like(ready[0]), atol=1e-4, rtol=0)
    torch.testing.assert_close(ready.std(0), torch.ones_like(ready[0]), atol=1e-3, rtol=0)
    torch.testing.assert_close(model(volumes), model.head(ready))
    model.standardize([torch.full((2, 1, 16, 16, 16), 0.5)])  # all alike: divided by 1
    assert torch.equal(model.deviation, torch.ones_like(model.deviation))


def test_gradients_reach_the_encoder_and_the_head_alone() -> None:
    model = classifier()
    model(torch.rand(1, 1, 16, 16, 16)).sum().backward()
    moved = {name for name, weight in model.named_parameters() if weight.grad is not None}
    assert moved == set(weights_of(model, "encoder")) & dict(model.named_parameters()).keys()
    assert "head.weight" in moved
    assert not any(name.startswith("backbone.merges") for name in moved)


def test_windows_count_by_the_body_that_they_hold() -> None:
    # Two windows of 8 voxels along x, of intensity 1 and 0.5; the body fills one and a quarter.
    volume = np.full((1, 16, 8, 8), 1000, np.int16)
    volume[:, 8:] = 0
    body = np.ones((16, 8, 8), bool)
    body[10:] = False
    found = classify_volume(
        Brightness(),  # type: ignore[arg-type]
        volume,
        body,
        [True],
        crop_size=(8, 8, 8),
        overlap=0.0,
    )
    logit = (8 * 1.0 + 2 * 0.5) / 10
    assert found == pytest.approx(np.array([np.exp(logit), 1]) / (np.exp(logit) + 1))


def test_a_small_scan_lies_in_the_middle_of_its_window() -> None:
    model, volume = classifier(), np.full((1, 8, 16, 16), 300, np.int16)
    found = classify_volume(model, volume, volume[0] > 0, [True], crop_size=(16, 16, 16))
    padded = torch.zeros(1, 1, 16, 16, 16)
    padded[:, :, 4:12] = 0.65
    expected = torch.softmax(model(padded)[0], dim=0).detach().numpy()
    assert found == pytest.approx(expected, abs=1e-6)
    nothing = np.zeros((8, 16, 16), bool)  # no body: all windows speak
    again = classify_volume(model, volume, nothing, [True], crop_size=(16, 16, 16))
    assert again == pytest.approx(found)


def test_a_saved_classifier_gives_the_same_probabilities(tmp_path: Path) -> None:
    model = classifier(seed=3)
    checkpoint = Checkpoint(
        weights=weights_of(model, "encoder"),
        backbone=UNet3DConfig(width=2, norm="instance"),
        in_channels=1,
        task="classification",
        contract=PreprocessingContract(),
        window_hu=WINDOW,
        crop_size=(16, 16, 16),
        part="encoder",
        label_names=NAMES,
    )
    save(checkpoint, tmp_path / "last.safetensors")
    again, read = load_classifier(tmp_path)
    volumes = torch.rand(2, 1, 16, 16, 16)
    torch.testing.assert_close(again(volumes), model(volumes))
    assert read.label_names == NAMES
    assert not any(name.startswith("backbone.merges") for name in read.weights)
    headless = {n: w for n, w in checkpoint.weights.items() if n.startswith("backbone")}
    save(replace(checkpoint, weights=headless), tmp_path / "last.safetensors")
    with pytest.raises(
        SelfscanError, match=r"no weights center, deviation, head\.bias, head\.weight"
    ):
        load_classifier(tmp_path)
    save(replace(checkpoint, task="segmentation"), tmp_path / "last.safetensors")
    with pytest.raises(SelfscanError, match=r"checkpoint of segmentation; expected .*--classes"):
        load_classifier(tmp_path)
