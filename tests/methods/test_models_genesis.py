"""Models Genesis: views as often as published, a loss that teaches, a config that checks."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from selfscan.methods import METHODS, method_config
from selfscan.methods.models_genesis import Distortion, ModelsGenesis, ModelsGenesisConfig
from selfscan.networks.backbone import Backbone, Features, Pyramid
from selfscan.networks.unet3d import UNet3DConfig
from selfscan.scans.crops import Batch, ForegroundCrops, LungCrops
from selfscan.transforms.intensity import to_unit
from selfscan.transforms.random import KeyedGenerator
from selfscan.transforms.spatial import apply_flips

SMALL = ModelsGenesisConfig(crop_size=(16, 24, 16), shuffle_windows=200)
NOTHING = replace(SMALL, shuffle_probability=0.0, curve_probability=0.0, paint_probability=0.0)


def build(config: ModelsGenesisConfig = SMALL, channels: int = 1) -> ModelsGenesis:
    torch.manual_seed(0)
    return config.build(UNet3DConfig(width=2).build(channels))


def batch_of(*examples: int, size: tuple[int, int, int] = (16, 24, 16), channels: int = 1) -> Batch:
    """Noise in Hounsfield units, the same for the same example; the second channel is MR."""
    numbers = torch.tensor(examples)
    random = KeyedGenerator.for_examples(1, numbers)
    return Batch(
        volumes=random.integers(-1100, 1100, 1, channels, *size).to(torch.int16),
        hounsfield=torch.tensor([True, False])[:channels].repeat(len(examples), 1, 1),
        examples=numbers,
        scans=torch.zeros(len(examples), 1, dtype=torch.int64),
        starts=torch.zeros(len(examples), 1, 3, dtype=torch.int64),
    )


def random_for(batch: Batch) -> KeyedGenerator:
    return KeyedGenerator.for_examples(21, batch.examples)


def views_of(method: ModelsGenesis, batch: Batch) -> dict[str, Tensor]:
    return dict(method.views(batch, random_for(batch)))


def test_views_are_two_volumes_in_the_unit_interval() -> None:
    views = views_of(build(channels=2), batch_of(*range(8), channels=2))
    assert views.keys() == {"distorted", "target"}
    for volumes in views.values():
        assert volumes.shape == (8, 2, 16, 24, 16)
        assert volumes.dtype == torch.float32
        assert 0 <= volumes.min() < volumes.max() <= 1


def test_the_target_is_flipped_and_otherwise_untouched() -> None:
    method, batch = build(), batch_of(*range(12))
    drawn = method.draw(batch, random_for(batch))
    views = method.transform(batch, drawn)
    units = to_unit(batch.volumes[:, 0], batch.hounsfield[:, 0], window_hu=(-1000, 1000))
    assert drawn.flips.flipped.any()
    assert torch.equal(views["target"], apply_flips(units, drawn.flips))


def test_the_input_is_flipped_like_the_target() -> None:
    views = views_of(build(NOTHING), batch_of(*range(12)))
    assert torch.equal(views["distorted"], views["target"])


def test_only_examples_that_a_transform_hits_are_changed() -> None:
    method = build(replace(SMALL, curve_probability=0.3, paint_probability=0.3))
    batch = batch_of(*range(40))
    drawn = method.draw(batch, random_for(batch))
    views = method.transform(
        batch, replace(drawn, changes=replace(drawn.changes, inpainted=drawn.changes.inpainted[:0]))
    )
    hit = {
        *drawn.changes.shuffled.tolist(),
        *drawn.changes.curved.tolist(),
        *drawn.changes.outpainted.tolist(),
    }
    changed = (views["distorted"] != views["target"]).flatten(1).any(1)
    assert set(changed.nonzero().flatten().tolist()) == hit
    assert 10 < len(hit) < 40


def test_equal_parameters_give_equal_views() -> None:
    method, batch = build(), batch_of(*range(10))
    stored = batch.volumes.clone()
    drawn = method.draw(batch, random_for(batch))
    first, second = method.transform(batch, drawn), method.transform(batch, drawn)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(batch.volumes, stored)


def test_an_example_looks_the_same_alone_and_among_others() -> None:
    method = build(channels=2)
    together = views_of(method, batch_of(*range(10), channels=2))
    for example in range(10):
        alone = views_of(method, batch_of(example, channels=2))
        for name, volumes in alone.items():
            assert torch.equal(together[name][example : example + 1], volumes)


def test_transforms_hit_as_often_as_published() -> None:
    count = 4_000
    method = build(replace(SMALL, shuffle_windows=1))
    batch = batch_of(*range(count), size=(1, 1, 1))
    drawn = method.draw(batch, random_for(batch))
    groups = (
        drawn.changes.shuffled,
        drawn.changes.curved,
        drawn.changes.inpainted,
        drawn.changes.outpainted,
    )
    shares = [len(numbers) / count for numbers in groups]
    assert shares == pytest.approx([0.5, 0.9, 0.18, 0.72], abs=0.032)  # 4 standard errors
    untouched = set(range(count)).difference(*(numbers.tolist() for numbers in groups))
    assert len(untouched) / count == pytest.approx(0.5 * 0.1 * 0.1, abs=0.0045)
    assert not set(drawn.changes.inpainted.tolist()) & set(drawn.changes.outpainted.tolist())
    assert drawn.changes.curve.falling.float().mean().item() == pytest.approx(0.5, abs=0.034)


def sizes_of(parameters: Any) -> int:
    """Bytes of all tensors in a parameter object."""
    if isinstance(parameters, Tensor):
        return parameters.nbytes
    assert is_dataclass(parameters)
    return sum(sizes_of(getattr(parameters, field.name)) for field in fields(parameters))


def test_drawn_parameters_are_smaller_than_the_crops() -> None:
    method = build(ModelsGenesisConfig())
    batch = batch_of(*range(6), size=(64, 64, 32))
    drawn = method.draw(batch, random_for(batch))
    assert isinstance(drawn, Distortion)
    assert sizes_of(drawn) < 6 * 64 * 64 * 32 * 4


def test_the_loss_is_the_mean_squared_error() -> None:
    method = build()
    views = views_of(method, batch_of(0, 1, 2))
    outcome, restored = method(views), method.restore(views["distorted"])
    expected = ((restored - views["target"]).double() ** 2).mean()
    assert outcome.losses.keys() == {"restoration"}
    assert outcome.total.item() == pytest.approx(expected.item(), rel=1e-5)
    contrast = restored.std() / views["target"].std()
    assert outcome.monitors["contrast"].item() == pytest.approx(contrast.item(), rel=1e-5)


def test_one_gray_value_sets_off_the_alarm() -> None:
    method = build()
    nn.init.zeros_(method.head.convolution.weight)
    (alarm,) = method.alarms
    outcome = method(views_of(method, batch_of(0, 1)))
    assert outcome.monitors[alarm.monitor].item() < alarm.minimum == 0.2
    assert "method.optimizer.learning_rate 0.1" in alarm.advice


def test_gradients_reach_the_backbone_and_the_head() -> None:
    method = build()
    views = views_of(method, batch_of(0, 1))
    outcome = method(views)
    outcome.total.backward()
    assert all(
        weight.grad is not None and weight.grad.isfinite().all() for weight in method.parameters()
    )
    moved = {
        name.split(".")[0]
        for name, weight in method.named_parameters()
        if weight.grad is not None and weight.grad.any()
    }
    assert moved == {"backbone", "head"}
    assert not any(value.requires_grad for value in outcome.monitors.values())
    assert not any(volumes.requires_grad for volumes in views.values())


@pytest.mark.slow
def test_the_network_learns_to_restore() -> None:
    method = build()
    views = views_of(method, batch_of(0, 1))
    optimizer = torch.optim.SGD(method.parameters(), lr=0.5, momentum=0.9)
    losses = []
    for _ in range(15):
        outcome = method(views)
        optimizer.zero_grad()
        outcome.total.backward()
        optimizer.step()
        losses.append(outcome.total.item())
    assert losses[-1] < 0.8 * losses[0]


def test_illustrations_show_input_output_and_target() -> None:
    method = build()
    views = views_of(method, batch_of(0, 1))
    shown = method.illustrate(views)
    assert list(shown) == ["input", "output", "target"]
    assert torch.equal(shown["input"], views["distorted"])
    assert torch.equal(shown["target"], views["target"])
    assert shown["output"].shape == shown["target"].shape
    assert not shown["output"].requires_grad


def test_crops_follow_the_policy() -> None:
    assert build().crops == ForegroundCrops((16, 24, 16))
    lung = build(replace(SMALL, crop_policy="lung", window_hu=(-1024.0, 1024.0)))
    assert lung.crops == LungCrops((16, 24, 16), (-1024.0, 1024.0))


def test_the_published_training_is_the_default() -> None:
    config = ModelsGenesisConfig()
    assert (config.batch_size, config.input_size) == (6, (64, 64, 32))
    optimizer = config.optimizer
    assert (optimizer.algorithm, optimizer.learning_rate, optimizer.momentum) == ("sgd", 1.0, 0.9)
    assert (optimizer.schedule, optimizer.step_factor) == ("step", 0.5)
    assert (optimizer.step_size, optimizer.weight_decay) == (94_920, 0.0)


def test_presets_are_chosen_by_name() -> None:
    assert METHODS["models-genesis"] is ModelsGenesisConfig
    assert method_config("models-genesis") == ModelsGenesisConfig()
    assert method_config("models-genesis:release") == ModelsGenesisConfig()
    paper = method_config("models-genesis:paper")
    assert paper == ModelsGenesisConfig.paper()
    assert isinstance(paper, ModelsGenesisConfig)
    assert (paper.shuffle_windows, paper.fill) == (1_000, "constant")


def test_unknown_methods_and_presets_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one of models-genesis.*, got 'genesis'"):
        method_config("genesis")
    with pytest.raises(ValueError, match=r"are release, paper, got 'build'"):
        method_config("models-genesis:build")


def test_the_paper_paints_less_than_a_quarter_outside() -> None:
    method = build(replace(ModelsGenesisConfig.paper(), curve_probability=0.0, outpaint_windows=1))
    batch = batch_of(*range(12), size=(64, 64, 32))
    drawn = method.draw(batch, random_for(batch))
    views = method.transform(
        batch, replace(drawn, changes=replace(drawn.changes, shuffled=drawn.changes.shuffled[:0]))
    )
    changed = (
        (views["distorted"] != views["target"]).flatten(1).float().mean(1)[drawn.changes.outpainted]
    )
    assert 0.1 < changed.min() < changed.max() < 0.25


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"flip_probability": 1.5}, "flip_probability must be within 0.0 to 1.0, got 1.5"),
        ({"window_continue_probability": -0.1}, "window_continue_probability must be within"),
        ({"flip_rounds": -1}, "flip_rounds must be within 0 to 1000000000, got -1"),
        ({"flip_axes": ("x", "w")}, r"flip_axes must be among \('x', 'y', 'z'\), got 'w'"),
        ({"shuffle_windows": 0}, "shuffle_windows must be within 1 to"),
        ({"shuffle_max_window": 17}, "axis x of 16 voxels is too short: windows of 1 to 17"),
        ({"curve_knots": 0}, "curve_knots must be within 1 to"),
        ({"inpaint_windows": 0}, "inpaint_windows must be within 1 to 31, got 0"),
        ({"outpaint_windows": 32}, "outpaint_windows must be within 1 to 31, got 32"),
        ({"inpaint_window": (0.5, 0.25)}, "axis x of 16 voxels is too short: windows of 8 to 4"),
        ({"paint_border": -1}, "must not be negative, got -1"),
        ({"fill": "zeros"}, "fill must be one of noise, constant, got 'zeros'"),
        ({"crop_policy": "liver"}, "crop_policy must be one of foreground, lung, got 'liver'"),
        ({"window_hu": (100.0, 0.0)}, r"window_hu must rise, got \(100.0, 0.0\)"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"crop_size": (9, 24, 16)}, "axis x of 9 voxels is too short"),
        ({"crop_size": (16, 24, 13)}, "axis z of 13 voxels is too short"),
    ],
)
def test_bad_hyper_parameters_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **changes)


class Coarse(Backbone):
    """A backbone whose decoder stops at half the resolution."""

    def __init__(self, pyramid: Pyramid) -> None:
        super().__init__()
        self.in_channels, self.divisor = 1, (2, 2, 2)
        self.encoder_pyramid = Pyramid((4,), ((2, 2, 2),))
        self.decoder_pyramid = pyramid

    def forward(self, volumes: Tensor) -> Features:
        return Features((volumes,))

    def encode(self, volumes: Tensor) -> tuple[Tensor, ...]:
        return (volumes,)

    def encoder_parameters(self) -> list[nn.Parameter]:
        return []


def test_a_backbone_without_full_resolution_is_refused() -> None:
    with pytest.raises(ValueError, match=r"at stride \(1, 1, 1\), got \(\(2, 2, 2\),\)"):
        SMALL.build(Coarse(Pyramid((4,), ((2, 2, 2),))))
    with pytest.raises(ValueError, match="got no decoder"):
        SMALL.build(Coarse(Pyramid()))


def test_crops_that_the_backbone_cannot_take_are_refused() -> None:
    with pytest.raises(ValueError, match=r"divisible by \(8, 8, 8\) .* got \(16, 24, 20\)"):
        build(replace(SMALL, crop_size=(16, 24, 20)))


def test_the_user_is_told_of_patent_and_license() -> None:
    assert "11,922,628" in ModelsGenesisConfig.license_note
    assert "Apache-2.0" in ModelsGenesisConfig.license_note
    assert "MICCAI 2019" in ModelsGenesisConfig.source
