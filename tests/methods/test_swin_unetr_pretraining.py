"""Swin UNETR pre-training: the released network and losses, views, and what it learns."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from released_swin_unetr import fill_with_sines, wave
from torch import Tensor, nn

from selfscan.losses.info_nce import info_nce
from selfscan.methods import method_config
from selfscan.methods.swin_unetr import SwinUNETRPretraining, SwinUNETRPretrainingConfig
from selfscan.networks.backbone import BackboneConfig
from selfscan.networks.fpn3d import FPN3DConfig
from selfscan.networks.swin_unetr import PatchMerging, SwinUNETRConfig
from selfscan.networks.unet3d import UNet3DConfig
from selfscan.scans.crops import Batch, Item, collate
from selfscan.scans.crops.examples import Crop, Example
from selfscan.training.optimization import learning_rate
from selfscan.transforms.random import KeyedGenerator

SIZE = (16, 16, 16)
SMALL = SwinUNETRPretrainingConfig(crop_size=SIZE, projected=8)
NETWORK = UNet3DConfig(width=2, norm="instance")


def build(
    config: SwinUNETRPretrainingConfig = SMALL,
    network: BackboneConfig = NETWORK,
    channels: int = 1,
) -> SwinUNETRPretraining:
    torch.manual_seed(0)
    return config.build(network.build(channels))


def batch_of(*examples: int, crops: int = 2, channels: int = 1, size=SIZE) -> Batch:
    """Crops that brighten along x and darken along y, each its own way."""
    items = []
    for number in examples:
        random = np.random.default_rng(number)
        x, y, z = np.meshgrid(*(np.linspace(0, 1, n) for n in size), indexing="ij")
        volumes = [
            [random.normal(0, 30, size) + 600 * x - 600 * y + random.uniform(-300, 300) * z]
            * channels
            for _ in range(crops)
        ]
        items.append(
            Item(
                volumes=np.array(volumes).astype(np.int16),
                hounsfield=np.ones((crops, channels), dtype=bool),
                number=number,
                example=Example((Crop(0, (0, 0, 0), size),) * crops),
                labels=None,
            )
        )
    return collate(items)


def views_of(method: SwinUNETRPretraining, batch: Batch) -> dict[str, Tensor]:
    return dict(method.views(batch, KeyedGenerator.for_examples(21, batch.examples)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("patch_merging", "rotation", "contrast", "moments"),
    [
        (
            "fixed",
            (0.000317, 0.000881, -0.001948, 0.002726),
            (-0.003338, 0.004436, -0.004876, 0.004592),
            (0.066296, 0.083452),
        ),
        (
            "legacy",
            (0.013778, -0.013616, 0.011433, -0.007554),
            (0.013807, -0.013538, 0.011259, -0.007310),
            (0.063765, 0.083720),
        ),
    ],
)
def test_the_released_network(
    patch_merging: PatchMerging,
    rotation: tuple[float, ...],
    contrast: tuple[float, ...],
    moments: tuple[float, float],
) -> None:
    config = replace(SwinUNETRPretrainingConfig.released(), crop_size=(64, 64, 64))
    method = build(config, SwinUNETRConfig(patch_merging=patch_merging)).eval()
    encoder = sum(p.numel() for p in method.backbone.encoder_parameters())
    heads = (method.rotation, method.contrast, method.restoration)
    assert encoder + sum(p.numel() for h in heads for p in h.parameters()) == 19_097_191
    fill_with_sines(method)
    with torch.no_grad():
        coarsest = method.backbone.encode(wave())[-1]
        restored = method.restoration(coarsest).double()
        turns = method.classify(coarsest)[0]
        embedded = method.contrast(method._token(coarsest, 1))[0, :4]
    assert turns.tolist() == pytest.approx(rotation, abs=2e-5)
    assert embedded.tolist() == pytest.approx(contrast, abs=2e-5)
    found = (restored.mean().item(), restored.std(correction=0).item())
    assert found == pytest.approx(moments, abs=2e-5)


def test_the_published_contrast() -> None:
    def loss(first: list[list[float]], second: list[list[float]]) -> float:
        views = (torch.tensor(v, dtype=torch.float64) for v in (first, second))
        return info_nce(*(torch.nn.functional.normalize(v) for v in views), temperature=0.5).item()

    assert loss([[3.0, 1.0]], [[-1.0, 2.0]]) == pytest.approx(0.0)
    assert loss([[1, 0], [0, 1]], [[1, 0], [0, 1]]) == pytest.approx(0.239545, abs=1e-6)
    assert loss([[3, 4], [1, -1]], [[0, 2], [1, 0]]) == pytest.approx(0.439773, abs=1e-6)
    for crops in (2, 4, 8):
        same = [[1.0, 2.0]] * crops
        assert loss(same, same) == pytest.approx(math.log(2 * crops - 1))
    k = torch.arange(1.0, 13.0, dtype=torch.float64).view(3, 4)
    assert loss(k.sin().tolist(), k.cos().tolist()) == pytest.approx(2.074647, abs=1e-6)
    zeros = [[0.0, 0.0]] * 2
    assert loss(zeros, zeros) == pytest.approx(1.098612, abs=1e-6)


def test_the_published_gradient_of_the_contrast() -> None:
    first = torch.tensor([[3.0, 4.0], [1.0, -1.0]], requires_grad=True)
    second = torch.tensor([[0.0, 2.0], [1.0, 0.0]])
    normal = torch.nn.functional.normalize
    torch.autograd.backward(info_nce(normal(first), normal(second), temperature=0.5))
    expected = torch.tensor([[0.0983201, -0.0737401], [-0.0525292, -0.0525292]])
    torch.testing.assert_close(first.grad, expected, atol=1e-6, rtol=0)


def test_the_published_sum_of_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    method = build()
    views = torch.tensor([[3.0, 4.0], [0.0, 2.0], [1.0, -1.0], [1.0, 0.0]])
    restored = torch.linspace(0, 1, 32).view(4, 1, 2, 2, 2)
    monkeypatch.setattr(method.backbone, "encode", lambda volumes: (volumes,))
    monkeypatch.setattr(method, "classify", lambda c: torch.diag(torch.tensor([2, 1, 0.5, -1.0])))
    monkeypatch.setattr(method, "embed", lambda c: torch.nn.functional.normalize(views))
    monkeypatch.setattr(method.restoration, "forward", lambda c: restored)
    target = torch.full_like(restored, 0.25)
    outcome = method({"input": target, "target": target, "turns": torch.arange(4)})
    found = {name: value.item() for name, value in outcome.losses.items()}
    assert found == pytest.approx(
        {"restoration": 0.318548, "rotation": 1.083824, "contrast": 0.439773}, abs=1e-6
    )
    assert outcome.total.item() == pytest.approx(1.842146, abs=1e-6)
    # The logits of the last row are highest for turn 0, by which alone it is missed.
    assert outcome.monitors["rotation_accuracy"].item() == 0.75


def test_the_published_learning_rate() -> None:
    released = SwinUNETRPretrainingConfig.released().optimizer
    factor = {
        step: learning_rate(released, step=step, steps=100_000) / 4e-4
        # The release loses the first step to a rate of 0; ours is one step ahead while it rises.
        for step in (0, 249, 498, 499, 500, 25_375, 50_250, 100_000)
    }
    assert list(factor.values()) == pytest.approx([0.002, 0.5, 0.998, 1, 1, 0.853553, 0.5, 0])
    for step, expected in ((112_875, 0.853553), (225_250, 0.5)):
        found = learning_rate(released, step=step, steps=450_000) / 4e-4
        assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("preset", ["swin-unetr", "swin-unetr:released"])
def test_views_are_turned_and_cut_out_copies(preset: str) -> None:
    config = replace(method_config(preset), crop_size=SIZE)
    method, batch = build(config), batch_of(3, 4)
    views = views_of(method, batch)
    assert views["input"].shape == views["target"].shape == (8, 1, *SIZE)
    plane = (1, 2) if preset == "swin-unetr" else (2, 3)
    crops = ((batch.volumes.float() + 1000) / 2000).flatten(0, 1)
    for row, (target, turns) in enumerate(zip(views["target"], views["turns"], strict=True)):
        turned = torch.rot90(crops[row // 2], int(turns), plane)
        torch.testing.assert_close(target, turned, atol=1e-6, rtol=0)
    cut = (views["input"] != views["target"]).float().mean()
    assert 0.05 < cut < 0.45
    assert views["input"].min() >= 0
    assert views["input"].max() <= 1


def test_views_of_an_example_do_not_depend_on_the_batch_but_for_donors() -> None:
    alone = replace(SMALL, cutout=replace(SMALL.cutout, swap=False))
    method = build(alone)
    together, single = views_of(method, batch_of(3, 4)), views_of(method, batch_of(4))
    for name, view in single.items():
        assert torch.equal(together[name][4:], view)


@pytest.mark.parametrize(
    "network",
    [
        NETWORK,
        FPN3DConfig(channels=4, levels=3),
        SwinUNETRConfig(feature_size=12, depths=(1, 1, 1, 1), window_size=4),
    ],
)
@pytest.mark.parametrize("up_sampling", ["vae", "deconv", "large-kernel-deconv"])
def test_any_encoder_learns_all_tasks(network: BackboneConfig, up_sampling: str) -> None:
    size = (32, 32, 64) if isinstance(network, SwinUNETRConfig) else SIZE
    config = replace(SMALL, crop_size=size, up_sampling=up_sampling, batch_size=1)
    method = build(config, network, channels=2)
    outcome = method(views_of(method, batch_of(0, channels=2, size=size)))
    torch.autograd.backward(outcome.total)
    encoder = {id(p) for p in method.backbone.encoder_parameters()}
    for name, parameter in method.named_parameters():
        if name.startswith("backbone.") and id(parameter) not in encoder:
            assert parameter.grad is None, name
        else:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
    assert outcome.total.item() == pytest.approx(sum(v.item() for v in outcome.losses.values()))


def test_swapping_the_views_or_the_crops_changes_nothing() -> None:
    method = build()
    views = views_of(method, batch_of(1, 2))
    total = method(views).total
    for order in ([1, 0, 3, 2, 5, 4, 7, 6], [4, 5, 0, 1, 6, 7, 2, 3]):
        moved = {name: view[order] for name, view in views.items()}
        torch.testing.assert_close(method(moved).total, total)


def test_the_corner_tokens_are_the_first_cell_and_its_neighbor_along_z() -> None:
    method = build(replace(SMALL, token="corner"))
    coarsest = torch.rand(1, 32, 2, 2, 2)
    expected = method.rotation(coarsest[..., 0, 0, 0])
    torch.testing.assert_close(method.classify(coarsest), expected)
    expected = torch.nn.functional.normalize(method.contrast(coarsest[..., 0, 0, 1]))
    torch.testing.assert_close(method.embed(coarsest), expected)
    mean = build()
    torch.testing.assert_close(mean.classify(coarsest), mean.rotation(coarsest.mean(dim=(2, 3, 4))))


@pytest.mark.slow
def test_a_fixed_batch_is_learned() -> None:
    method = build()
    views = views_of(method, batch_of(1, 2))
    # A higher rate, or no clipping, leaves it to the last bits of a processor what is learned.
    optimizer = torch.optim.AdamW(method.parameters(), lr=5e-3)
    first = method(views)
    for _ in range(180):
        optimizer.zero_grad()
        outcome = method(views)
        torch.autograd.backward(outcome.total)
        nn.utils.clip_grad_norm_(method.parameters(), 1.0)
        optimizer.step()
    for name, loss in outcome.losses.items():
        assert loss < 0.7 * first.losses[name], name
    assert outcome.monitors["rotation_accuracy"] == 1
    assert outcome.monitors["contrast_top1"] >= 0.75
    assert outcome.monitors["contrast_gain"] > 0.5
    shown = method.illustrate(views)
    assert set(shown) == {"input", "output", "target"}
    assert all(volume.shape == (4, 1, *SIZE) for volume in shown.values())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"token": "first"}, "token must be one of mean, corner, got 'first'"),
        ({"crop_policy": "lung"}, "crop_policy must be one of foreground, uniform, got 'lung'"),
        ({"up_sampling": "unet"}, "up_sampling must be one of vae, deconv, .*, got 'unet'"),
        ({"temperature": 0.0}, "temperature must be positive, got 0.0"),
        ({"rotation_weight": -1.0}, "rotation_weight must not be negative, got -1.0"),
        ({"batch_size": 1, "crops_per_scan": 1}, "a batch must have two crops to contrast"),
        ({"crop_size": (96, 64, 64)}, "axes x and y are equally long"),
        ({"projected": 0}, "projected must be at least 1, got 0"),
    ],
)
def test_values_without_a_meaning_are_refused(arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        SwinUNETRPretrainingConfig(**arguments)


def test_crops_of_one_coarsest_cell_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must hold two cells of \(8, 8, 8\) voxels"):
        build(replace(SMALL, crop_size=(8, 8, 8)))
