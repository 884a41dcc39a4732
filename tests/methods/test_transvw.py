"""TransVW: one change of four after a displacement, the published amounts, a config that checks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from selfscan.methods import METHODS, method_config
from selfscan.methods.transvw import Distortion, TransVW, TransVWConfig
from selfscan.networks.unet3d import UNet3DConfig
from selfscan.scans.crops import Batch, ForegroundCrops
from selfscan.transforms.intensity import to_unit
from selfscan.transforms.random import KeyedGenerator

PUBLISHED = TransVWConfig()
SMALL = TransVWConfig(crop_size=(16, 24, 16), shuffle_windows=20)
STILL = replace(PUBLISHED, elastic_amplitude=0.0)


def build(config: TransVWConfig = SMALL) -> TransVW:
    torch.manual_seed(0)
    return config.build(UNet3DConfig(width=2, norm=config.norm).build(1))


def batch_of(*examples: int, size: tuple[int, int, int] = (16, 24, 16)) -> Batch:
    """Noise in Hounsfield units, the same for the same example."""
    numbers = torch.tensor(examples)
    random = KeyedGenerator.for_examples(1, numbers)
    return Batch(
        volumes=random.integers(-999, 999, 1, 1, *size).to(torch.int16),
        hounsfield=torch.ones(len(examples), 1, 1, dtype=torch.bool),
        examples=numbers,
        scans=torch.zeros(len(examples), 1, dtype=torch.int64),
        starts=torch.zeros(len(examples), 1, 3, dtype=torch.int64),
    )


def drawn_for(method: TransVW, batch: Batch) -> Distortion:
    return method.draw(batch, KeyedGenerator.for_examples(5, batch.examples))


def views_of(method: TransVW, batch: Batch) -> dict[str, Tensor]:
    return dict(method.transform(batch, drawn_for(method, batch)))


def test_the_target_is_the_crop_and_the_input_is_not() -> None:
    method, batch = build(), batch_of(*range(6))
    stored = batch.volumes.clone()
    views = views_of(method, batch)
    units = to_unit(batch.volumes[:, 0], batch.hounsfield[:, 0], window_hu=(-1000, 1000))
    assert torch.equal(views["target"], units)
    assert torch.equal(batch.volumes, stored)
    assert views["distorted"].shape == units.shape
    assert views["distorted"].dtype == torch.float32
    assert 0 <= views["distorted"].min() < views["distorted"].max() <= 1
    assert (views["distorted"] != units).flatten(1).any(dim=1).all()


def test_each_example_has_one_change_of_four() -> None:
    count = 10_000
    method = build(replace(SMALL, shuffle_windows=1))
    changes = drawn_for(method, batch_of(*range(count), size=(1, 1, 1))).changes
    groups = changes.shuffled, changes.curved, changes.inpainted, changes.outpainted
    assert sorted(torch.cat(groups).tolist()) == list(range(count))
    assert [len(rows) / count for rows in groups] == pytest.approx([0.25] * 4, abs=0.0174)


def test_changes_are_as_large_as_published() -> None:
    method, batch = build(STILL), batch_of(*range(20), size=(64, 64, 32))
    drawn = drawn_for(method, batch)
    views = method.transform(batch, drawn)
    changed = (views["distorted"] != views["target"]).flatten(1).sum(dim=1)
    c = drawn.changes
    assert changed[c.shuffled].max() <= 540
    assert 500 <= changed[c.inpainted].min() <= changed[c.inpainted].max() <= 4_410
    kept = 64 * 64 * 32 - changed[c.outpainted]
    assert 10_976 <= kept.min() <= kept.max() <= 26_020  # some noise is what was there
    sizes = c.shuffle.windows.sizes.flatten(0, 1)
    assert (sizes.amax(dim=0) <= torch.tensor([6, 6, 3])).all()


def test_shuffling_apart_keeps_the_voxels_of_each_window() -> None:
    method, batch = build(STILL), batch_of(*range(16), size=(64, 64, 32))
    drawn = drawn_for(method, batch)
    views = method.transform(batch, drawn)
    for row in drawn.changes.shuffled.tolist():
        ordered = [views[name][row].flatten().sort().values for name in ("distorted", "target")]
        windows = drawn.changes.shuffle.windows
        number = drawn.changes.shuffled.tolist().index(row)
        starts, ends = windows.starts[number], windows.starts[number] + windows.sizes[number]
        apart = ((starts[:, None] >= ends) | (starts >= ends[:, None])).any(dim=-1)
        if apart.logical_or(torch.eye(len(starts), dtype=torch.bool)).all():
            assert torch.equal(*ordered)


def test_an_example_looks_the_same_alone_and_among_others() -> None:
    method = build()
    together = views_of(method, batch_of(*range(6)))
    for example in (1, 4):
        for name, volumes in views_of(method, batch_of(example)).items():
            torch.testing.assert_close(together[name][example : example + 1], volumes)


def test_the_fill_may_be_one_constant() -> None:
    config = replace(TransVWConfig.keras(), crop_size=(64, 64, 32), elastic_amplitude=0.0)
    method, batch = build(config), batch_of(*range(16), size=(64, 64, 32))
    drawn = drawn_for(method, batch)
    views = method.transform(batch, drawn)
    for row in (*drawn.changes.inpainted.tolist(), *drawn.changes.outpainted.tolist()):
        painted = views["distorted"][row][views["distorted"][row] != views["target"][row]]
        assert painted.unique().numel() == 1
    sizes = drawn.changes.inpainting.windows.sizes
    assert 10 <= sizes.min() <= sizes.max() <= 20


def test_gradients_reach_the_backbone_and_the_head() -> None:
    method = build()
    outcome = method(views_of(method, batch_of(0, 1, 2, 3)))
    assert outcome.losses.keys() == {"restoration"}
    outcome.total.backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in method.head.parameters())
    weights = dict(method.backbone.named_parameters())
    assert all(weight.grad is not None for weight in weights.values())


def test_the_restoration_may_weigh_nothing() -> None:
    method = build(replace(SMALL, restoration_weight=0.0))
    assert method(views_of(method, batch_of(0, 1))).total.item() == 0


def test_the_published_training_is_the_default() -> None:
    optimizer = PUBLISHED.optimizer
    assert (optimizer.algorithm, optimizer.learning_rate) == ("adam", 1e-3)
    assert (optimizer.schedule, optimizer.step_size, optimizer.step_factor) == ("step", 16_520, 0.5)
    assert (PUBLISHED.batch_size, PUBLISHED.input_size) == (64, (64, 64, 32))
    assert build().crops == ForegroundCrops((16, 24, 16))
    assert METHODS["transvw"] is TransVWConfig
    assert TransVWConfig.needs_words


def test_presets_are_chosen_by_name() -> None:
    assert method_config("transvw").default_backbone == UNet3DConfig(norm="batch")
    release = method_config("transvw:release")
    assert release.default_backbone == UNet3DConfig(norm="batch-statistics")
    strong = method_config("transvw:strong")
    assert isinstance(strong, TransVWConfig)
    assert strong.shuffle_windows == 10_000
    keras = method_config("transvw:keras")
    assert isinstance(keras, TransVWConfig)
    assert (keras.fill, keras.batch_size) == ("constant", 8)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"elastic_sigma": 0.0}, "elastic_sigma must be positive, got 0"),
        ({"elastic_amplitude": -1.0}, "elastic_amplitude must not be negative, got -1"),
        ({"restoration_weight": -1.0}, "restoration_weight must not be negative, got -1"),
        ({"shuffle_windows": 0}, "shuffle_windows must be at least 1, got 0"),
        ({"norm": "instance"}, "norm must be one of batch-statistics, batch, got 'instance'"),
        ({"fill": "zeros"}, "fill must be one of noise, constant, got 'zeros'"),
        ({"crop_size": (9, 24, 16)}, "axis x of 9 voxels is too short"),
    ],
)
def test_bad_hyper_parameters_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **changes)


def test_the_user_is_told_of_patents_and_license() -> None:
    for patent in ("11,763,952", "12,277,687", "12,469,315"):
        assert patent in TransVWConfig.license_note
    assert "non-commercial research only" in TransVWConfig.license_note
