"""vox2vec: the released step to six digits, views that keep anatomy, a loss that teaches."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from test_fpn3d import fill_with_sines, released_name, wave
from torch import Tensor

from selfscan.methods import method_config
from selfscan.methods.vox2vec import Vox2Vec, Vox2VecConfig, retrieval
from selfscan.networks.fpn3d import FPN3DConfig
from selfscan.networks.unet3d import UNet3DConfig
from selfscan.networks.voxels import voxel_features
from selfscan.scans.crops import Batch, Item, OverlappingCrops, collate
from selfscan.scans.crops.examples import Crop, Example
from selfscan.transforms.random import KeyedGenerator

SIZE = (16, 12, 8)
SMALL = Vox2VecConfig(crop_size=SIZE, batch_size=2, voxels=40, projected=8, block_rows=None)
NETWORK = FPN3DConfig(channels=4, levels=3)


def build(config: Vox2VecConfig = SMALL, channels: int = 1) -> Vox2Vec:
    torch.manual_seed(0)
    return config.build(NETWORK.build(channels))


def batch_of(*examples: int, pairs: int = 1, channels: int = 1, shift: int = 3) -> Batch:
    """Crops of noise, the second of each pair `shift` voxels further along x; shared: some."""
    items = []
    for number in examples:
        random = np.random.default_rng(number)
        crops, voxels, shared = [], np.zeros((pairs, 40, 2, 3), dtype=np.int64), []
        volumes = []
        for pair in range(pairs):
            whole = random.integers(-1000, 1000, (channels, SIZE[0] + shift, *SIZE[1:]))
            volumes += [whole[:, : SIZE[0]], whole[:, shift:]]
            crops += [Crop(0, (0, 0, 0), SIZE), Crop(0, (shift, 0, 0), SIZE)]
            shared.append(20 + number % 5)
            places = random.integers((shift, 0, 0), SIZE, (shared[-1], 3))
            voxels[pair, : shared[-1], 0] = places
            voxels[pair, : shared[-1], 1] = places - (shift, 0, 0)
        items.append(
            Item(
                volumes=np.stack(volumes).astype(np.int16),
                hounsfield=np.ones((2 * pairs, channels), dtype=bool),
                number=number,
                example=Example(tuple(crops), {"voxels": voxels, "shared": np.array(shared)}),
                labels=None,
            )
        )
    return collate(items)


def views_of(method: Vox2Vec, batch: Batch) -> dict[str, Tensor]:
    return dict(method.views(batch, KeyedGenerator.for_examples(21, batch.examples)))


def released_step_name(name: str, levels: int) -> str:
    part, _, rest = name.partition(".")
    if part == "backbone":
        return f"backbone.{released_name(rest, levels)}"
    return rest.replace("layers", "proj_head")


def test_a_released_step() -> None:
    method = build().double()
    fill_with_sines(method, 3, released_step_name)
    voxels = torch.tensor(
        [
            [[0, 0, 0], [5, 4, 3], [11, 8, 5], [7, 2, 1], [1, 1, 1], [6, 6, 2], [9, 0, 5]],
            [[1, 0, 0], [6, 4, 3], [11, 7, 5], [8, 2, 1], [0, 1, 1], [5, 6, 2], [8, 0, 5]],
        ]
    )
    views = {
        "first": torch.cat([wave(0.0), wave(0.9)]),
        "second": torch.cat([wave(0.2), wave(1.3)]),
        "pairs": torch.tensor([0, 0, 0, 0, 1, 1, 1]),
        "first_voxels": voxels[0],
        "second_voxels": voxels[1],
    }
    outcome = method(views)
    assert outcome.total.item() == pytest.approx(0.655380, abs=1e-6)
    torch.autograd.backward(outcome.total)
    last = method.head.layers[-1]
    assert method.backbone.stem.weight.grad.norm().item() == pytest.approx(0.378958, abs=1e-6)
    assert last.weight.grad.norm().item() == pytest.approx(0.365981, abs=1e-6)
    vectors = method.project(views["first"], views["pairs"], views["first_voxels"])
    assert vectors[0, :3].tolist() == pytest.approx([-0.024650, -0.348539, -0.488284], abs=1e-6)


def test_the_published_head_has_the_published_size() -> None:
    with torch.device("meta"):
        method = Vox2VecConfig().build(FPN3DConfig().build(1))
    assert sum(p.numel() for p in method.head.parameters()) == 2_167_328
    assert sum(p.numel() for p in method.parameters()) == 49_791_776


def test_views_are_the_crops_of_each_pair_with_their_shared_voxels() -> None:
    batch = batch_of(1, 2, 4, pairs=2)
    views = views_of(build(), batch)
    for name in ("first", "second"):
        assert views[name].shape == (6, 1, *SIZE)
        assert 0 <= views[name].min() < views[name].max() <= 1
    assert views["pairs"].bincount().tolist() == [21, 21, 22, 22, 24, 24]
    moved = views["first_voxels"] - views["second_voxels"]
    assert moved.unique(dim=0).tolist() == [[3, 0, 0]]


def test_without_changes_of_appearance_both_views_show_the_same() -> None:
    still = replace(
        SMALL.appearance, filter_probability=0, noise_probability=0, window_probability=0
    )
    method = build(replace(SMALL, appearance=still))
    views = views_of(method, batch_of(1, 2))
    seen = [
        voxel_features((views[name],), ((1, 1, 1),), views["pairs"], views[f"{name}_voxels"])
        for name in ("first", "second")
    ]
    assert torch.equal(*seen)


def test_each_crop_changes_on_its_own() -> None:
    drawn = build().draw(
        batch_of(1, 2, pairs=2), KeyedGenerator.for_examples(3, torch.tensor([1, 2]))
    )
    assert len(drawn.low_hu) == 8
    windowed = drawn.low_hu[drawn.low_hu != -1350]
    assert len(windowed.unique()) == len(windowed) > 3


def test_a_pair_has_the_same_views_in_any_batch() -> None:
    method = build()
    together, alone = views_of(method, batch_of(1, 2, 7)), views_of(method, batch_of(7))
    torch.testing.assert_close(together["first"][2:], alone["first"])
    torch.testing.assert_close(together["second"][2:], alone["second"])


def test_swapped_views_give_the_same_loss() -> None:
    method = build().eval()
    views = views_of(method, batch_of(1, 2))
    swapped = {
        "first": views["second"],
        "second": views["first"],
        "pairs": views["pairs"],
        "first_voxels": views["second_voxels"],
        "second_voxels": views["first_voxels"],
    }
    torch.testing.assert_close(method(views).total, method(swapped).total)


def test_the_loss_teaches_every_parameter() -> None:
    method = build()
    torch.autograd.backward(method(views_of(method, batch_of(1, 2))).total)
    for name, parameter in method.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.norm() > 0 or name.endswith("bias"), name


def test_training_finds_voxels_again() -> None:
    method = build()
    views = views_of(method, batch_of(1, 2))
    optimizer = torch.optim.Adam(method.parameters(), lr=3e-3)
    before = method(views)
    for _ in range(40):
        optimizer.zero_grad()
        outcome = method(views)
        torch.autograd.backward(outcome.total)
        optimizer.step()
    assert outcome.total < 0.5 * before.total
    assert outcome.monitors["retrieval"] > before.monitors["retrieval"]


def test_blocks_of_the_loss_change_nothing() -> None:
    views = views_of(build(), batch_of(1, 2))
    losses = [build(replace(SMALL, block_rows=rows))(views).total for rows in (None, 7)]
    torch.testing.assert_close(*losses)


def test_any_backbone_with_features_will_do() -> None:
    torch.manual_seed(0)
    config = replace(SMALL, crop_size=(16, 16, 8))
    method = config.build(UNet3DConfig(width=2, norm="instance").build(1))
    assert method.head.layers[0].in_features == 4 + 8 + 16 + 32
    with pytest.raises(ValueError, match=r"divisible by \(8, 8, 8\) .* got \(16, 12, 8\)"):
        SMALL.build(UNet3DConfig(width=2).build(1))


def test_illustration_peaks_where_the_anchor_is() -> None:
    method = build().eval()
    views = views_of(method, batch_of(1, 2))
    views["second"] = views["first"]
    views["second_voxels"] = views["first_voxels"]
    shown = method.illustrate(views)
    assert shown["similarity"].shape == (2, 1, *SIZE)
    for pair in range(2):
        members = views["pairs"] == pair
        places = views["second_voxels"][members]
        middle = torch.tensor(SIZE) // 2
        anchor = places[(places - middle).square().sum(1).argmin()]
        x, y, z = anchor.tolist()
        similarity = shown["similarity"][pair, 0]
        assert similarity[x, y, z].item() == pytest.approx(1.0, abs=1e-5)
        assert similarity.max().item() == pytest.approx(1.0, abs=1e-5)


def test_retrieval_counts_anchors_that_find_themselves() -> None:
    unit = torch.eye(10)
    assert retrieval(unit, unit) == 1
    assert retrieval(unit, unit[[1, 0, *range(2, 10)]]) == pytest.approx(0.8)


def test_names_and_presets() -> None:
    assert method_config("vox2vec") == Vox2VecConfig()
    published = method_config("vox2vec:published")
    assert (published.batch_size, published.pairs_per_scan) == (1, 10)
    assert published.build(FPN3DConfig(channels=1, levels=2).build(1)).crops == OverlappingCrops(
        (128, 128, 32), voxels=1024, pairs=10, fewest=1
    )
    assert published.default_backbone == FPN3DConfig()
    optimizer = published.optimizer
    assert (optimizer.algorithm, optimizer.learning_rate) == ("adam", 3e-4)
    assert (optimizer.schedule, optimizer.warmup_steps) == ("constant", 0)
    assert (optimizer.gradient_clip, optimizer.weight_decay) == (1.0, 0.0)
    assert "MIT" in published.license_note


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"projected": 0}, "projected must be at least 1, got 0"),
        ({"pairs_per_scan": 0}, "pairs_per_scan must be at least 1, got 0"),
        ({"voxels": 0}, "voxels must be at least 1, got 0"),
        ({"fewest_voxels": 0}, "fewest_voxels must be at least 1, got 0"),
        ({"block_rows": 0}, "block_rows must be at least 1, or None, got 0"),
        ({"temperature": 0.0}, "temperature must be positive, got 0.0"),
        (
            {"crop_size": (4, 64, 16)},
            r"crop_size must hold 6 voxels .* got \(4, 64, 16\)",
        ),
        ({"window_hu": (5.0, 5.0)}, r"window_hu must rise, got \(5.0, 5.0\)"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
    ],
)
def test_values_without_a_meaning_are_refused(change, message) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **change)


def test_every_field_is_documented() -> None:
    doc = Vox2VecConfig.__doc__ or ""
    assert all(f"        {field.name}: " in doc for field in fields(Vox2VecConfig))
