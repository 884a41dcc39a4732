"""The auto-encoder: published sizes, its loss, embeddings that no other scan changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from selfscan.methods import method_config
from selfscan.methods.autoencoder import Autoencoder, AutoencoderConfig
from selfscan.networks.backbone import Pyramid
from selfscan.networks.fpn3d import FPN3DConfig
from selfscan.networks.unet3d import UNet3DConfig
from selfscan.scans.crops import Batch, Item, WholeScans, collate
from selfscan.scans.crops.examples import Crop, Example
from selfscan.transforms.random import KeyedGenerator

SIZE = (16, 16, 8)
SMALL = AutoencoderConfig(crop_size=SIZE)


def build(config: AutoencoderConfig = SMALL, *, channels: int = 1, width: int = 2) -> Autoencoder:
    torch.manual_seed(0)
    return config.build(replace(config.default_backbone, width=width).build(channels))


def batch_of(*examples: int, channels: int = 1) -> Batch:
    items = []
    for number in examples:
        random = np.random.default_rng(number)
        items.append(
            Item(
                volumes=random.integers(-1500, 1500, (1, channels, *SIZE)).astype(np.int16),
                hounsfield=np.ones((1, channels), dtype=bool),
                number=number,
                example=Example((Crop(number, (0, 0, 0), SIZE, extent=(20, 30, 9)),)),
                labels=None,
            )
        )
    return collate(items)


def views_of(method: Autoencoder, batch: Batch) -> dict[str, torch.Tensor]:
    return dict(method.views(batch, KeyedGenerator.for_examples(1, batch.examples)))


def count(parameters: list[nn.Parameter]) -> int:
    return sum(parameter.numel() for parameter in parameters)


@pytest.mark.parametrize(("skips", "parameters"), [(False, 13_997_825), (True, 16_320_257)])
def test_the_published_sizes(skips: bool, parameters: int) -> None:
    config = AutoencoderConfig()
    backbone = replace(config.default_backbone, skips=skips).build(1)
    assert count(list(config.build(backbone).parameters())) == parameters
    assert count(backbone.encoder_parameters()) == 7_027_776


def test_the_views_are_the_scans_in_the_window() -> None:
    batch = batch_of(3, 4)
    scan = views_of(build(), batch)["target"]
    expected = ((batch.volumes[:, 0].float() + 1000) / 2000).clamp(0, 1)
    assert torch.equal(scan, expected)


def test_the_loss_is_the_squared_error_of_what_is_restored() -> None:
    method = build(channels=2)
    views = views_of(method, batch_of(0, 1, channels=2))
    outcome = method(views)
    restored = method.restore(views["target"])
    assert restored.shape == views["target"].shape
    assert 0 <= restored.min() <= restored.max() <= 1
    error = (restored - views["target"]).square().mean()
    assert outcome.total.item() == pytest.approx(error.item(), abs=1e-6)
    outcome.total.backward()
    assert all(parameter.grad is not None for parameter in method.parameters())


def test_an_embedding_is_the_mean_of_the_bottleneck_and_hears_of_no_other_scan() -> None:
    method = build()
    scans = views_of(method, batch_of(5, 6, 7))["target"]
    method({"distorted": scans, "target": scans})  # gives the norms their running statistics
    method.eval()
    with torch.no_grad():
        together, alone = method.embed(scans), method.embed(scans[1:2])
        mean = method.backbone.encode(scans[1:2])[-1].mean(dim=(2, 3, 4))
    assert together.shape == (3, 32)
    assert torch.equal(alone, mean)
    assert torch.allclose(together[1:2], alone, atol=1e-6)


def test_without_skips_all_passes_the_bottleneck() -> None:
    scans = views_of(build(), batch_of(1, 2))["target"]
    for skips, varies in ((False, False), (True, True)):
        torch.manual_seed(0)
        backbone = replace(SMALL.default_backbone, width=2, skips=skips).build(1)
        method = SMALL.build(backbone).eval()
        last = backbone.down[-1]
        last.register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
        with torch.no_grad():
            first, second = method.restore(scans)
        assert bool((first - second).abs().max() > 1e-4) == varies


def test_what_is_shown() -> None:
    method = build()
    views = views_of(method, batch_of(1))
    shown = method.illustrate(views)
    assert set(shown) == {"input", "output", "target"}
    assert shown["output"].shape == shown["input"].shape == (1, 1, *SIZE)


def test_it_is_chosen_by_name_and_sees_whole_scans() -> None:
    assert method_config("autoencoder") == AutoencoderConfig()
    assert build(replace(SMALL, within="body")).crops == WholeScans(SIZE, "body")
    assert SMALL.input_size == SIZE


def test_backbones_that_do_not_fit_are_refused() -> None:
    encoder_only = FPN3DConfig(channels=1, levels=2).build(1)
    encoder_only.decoder_pyramid = Pyramid()
    with pytest.raises(ValueError, match=r"decoder starts at stride \(1, 1, 1\), got no decoder"):
        SMALL.build(encoder_only)
    with pytest.raises(ValueError, match=r"got one with batch statistics; choose backbone.norm"):
        SMALL.build(UNet3DConfig(width=1).build(1))
    with pytest.raises(ValueError, match=r"crop_size must be divisible by \(8, 8, 8\)"):
        replace(SMALL, crop_size=(16, 16, 12)).build(build().backbone)


def test_values_without_a_meaning_are_refused() -> None:
    with pytest.raises(ValueError, match="within must be scan or body, got 'head'"):
        AutoencoderConfig(within="head")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="size must be three lengths of 1 voxel or more"):
        AutoencoderConfig(crop_size=(8, 8, 0))
