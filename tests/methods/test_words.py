"""Words beside a method: it does not notice, its encoder learns, other crops count for nothing."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from selfscan.methods.method import Method
from selfscan.methods.models_genesis import ModelsGenesisConfig
from selfscan.methods.swin_unetr import SwinUNETRPretrainingConfig
from selfscan.methods.transvw import TransVW, TransVWConfig
from selfscan.methods.vox2vec import Vox2Vec, Vox2VecConfig
from selfscan.methods.words import WordClassification
from selfscan.networks.fpn3d import FPN3DConfig
from selfscan.networks.unet3d import UNet3DConfig
from selfscan.scans.crops import Batch
from selfscan.training.pretext import PretextTask
from selfscan.transforms.intensity import to_unit
from selfscan.transforms.random import KeyedGenerator

SIZE = (16, 16, 16)
HOSTS = ("models-genesis", "transvw", "swin-unetr", "vox2vec")


def host(name: str) -> Method:
    torch.manual_seed(0)
    unet = UNet3DConfig(width=2, norm="instance").build(1)
    if name == "models-genesis":
        return ModelsGenesisConfig(crop_size=SIZE, shuffle_windows=20).build(unet)
    if name == "transvw":
        return TransVWConfig(crop_size=SIZE, shuffle_windows=20).build(unet)
    if name == "swin-unetr":
        return SwinUNETRPretrainingConfig(crop_size=SIZE, projected=4).build(unet)
    pyramid = FPN3DConfig(channels=2, levels=2, norm="instance").build(1)
    return Vox2VecConfig(crop_size=SIZE, voxels=8, projected=4, fewest_voxels=1).build(pyramid)


def batch_for(method: Method, words: list[list[int]]) -> Batch:
    """A batch of as many crops as there are words, of noise."""
    examples, crops = len(words), len(words[0])
    random = KeyedGenerator.for_examples(3, torch.arange(examples))
    extras = {"word": torch.tensor(words)}
    if isinstance(method, Vox2Vec):
        extras["voxels"] = random.integers(0, 15, crops // 2, 8, 2, 3)
        extras["shared"] = torch.full((examples, crops // 2), 8)
    return Batch(
        volumes=random.integers(-900, 900, crops, 1, *SIZE).to(torch.int16),
        hounsfield=torch.ones(examples, crops, 1, dtype=torch.bool),
        examples=torch.arange(examples),
        scans=torch.zeros(examples, crops, dtype=torch.int64),
        starts=torch.zeros(examples, crops, 3, dtype=torch.int64),
        extras=extras,
    )


def crops_of(name: str) -> list[list[int]]:
    """Words of a batch as the host's policy gives it."""
    if name == "vox2vec":
        return [[0, -1], [1, -1], [2, -1]]
    return [[0, 1], [2, 0]] if name == "swin-unetr" else [[0], [1], [2]]


def words_for(method: Method, weight: float = 0.01) -> WordClassification:
    torch.manual_seed(1)
    return WordClassification(method.backbone, words=3, weight=weight)


@pytest.mark.parametrize("name", HOSTS)
def test_the_hosts_loss_is_the_same_to_the_bit(name: str) -> None:
    method = host(name)
    batch = batch_for(method, crops_of(name))
    plain = PretextTask(method, seed=2)(batch)
    both = PretextTask(method, seed=2, words=words_for(method))(batch)
    assert both.losses.keys() == {*plain.losses, "words"}
    assert both.monitors.keys() == {*plain.monitors, "word_accuracy"}
    for values, others in ((plain.losses, both.losses), (plain.monitors, both.monitors)):
        assert all(
            torch.equal(torch.as_tensor(v), torch.as_tensor(others[n])) for n, v in values.items()
        )
    assert "encode" not in vars(method.backbone)


@pytest.mark.parametrize("name", HOSTS)
def test_words_teach_the_encoder_and_their_head_alone(name: str) -> None:
    method = host(name)
    words = words_for(method)
    task = PretextTask(method, seed=2, words=words)
    task(batch_for(method, crops_of(name))).losses["words"].backward()
    assert all(
        weight.grad is not None and weight.grad.any()
        for weight in words.head.classifier.parameters()
    )
    encoder = {id(weight) for weight in method.backbone.encoder_parameters()}
    reached = {id(weight) for weight in method.parameters() if weight.grad is not None}
    assert reached == encoder


def test_hosts_say_which_crop_a_row_shows() -> None:
    shown = {name: [rows.tolist() for rows in host(name).shown_crops(4)] for name in HOSTS}
    assert shown["models-genesis"] == shown["transvw"] == [[0, 1, 2, 3]]
    assert shown["swin-unetr"] == [[0, 0, 1, 1, 2, 2, 3, 3]]
    assert shown["vox2vec"] == [[0, 2], [1, 3]]


def test_rows_of_turned_views_are_those_of_their_crops() -> None:
    method = host("swin-unetr")
    batch = batch_for(method, [[0, 1], [2, 0]])
    target = method.views(batch, KeyedGenerator.for_examples(1, batch.examples))["target"]
    means = to_unit(
        batch.volumes.flatten(0, 1), batch.hounsfield.flatten(0, 1), window_hu=(-1000, 1000)
    ).mean(dim=(1, 2, 3, 4))
    (rows,) = method.shown_crops(4)
    torch.testing.assert_close(target.mean(dim=(1, 2, 3, 4)), means[rows])


def test_the_loss_is_the_weighted_cross_entropy_of_crops_at_words() -> None:
    method = host("models-genesis")
    words = words_for(method, weight=0.5).eval()
    seen = [torch.rand(3, 32, 2, 2, 2), torch.rand(2, 32, 2, 2, 2)]
    shown = [torch.tensor([0, 1, 2]), torch.tensor([3, 1])]
    named = torch.tensor([2, -1, 0, 1])
    outcome = words(seen, shown, named)
    logits = words.head(torch.cat(seen))[[0, 2, 3]]
    expected = functional.cross_entropy(logits, torch.tensor([2, 0, 1]))
    assert outcome.losses["words"].item() == pytest.approx(0.5 * expected.item(), rel=1e-6)
    right = (logits.argmax(dim=1) == torch.tensor([2, 0, 1])).float().mean().item()
    assert outcome.monitors["word_accuracy"].item() == pytest.approx(right)


def test_a_batch_without_words_costs_nothing() -> None:
    method = host("models-genesis")
    task = PretextTask(method, seed=2, words=words_for(method))
    outcome = task(batch_for(method, [[-1], [-1]]))
    assert outcome.losses["words"].item() == 0
    assert outcome.monitors["word_accuracy"].item() == 0


def test_at_first_words_are_guessed() -> None:
    method = host("transvw")
    torch.manual_seed(0)
    words = WordClassification(method.backbone, words=44, weight=1.0)
    outcome = PretextTask(method, seed=0, words=words)(batch_for(method, [[n] for n in range(16)]))
    assert outcome.losses["words"].item() == pytest.approx(math.log(44), abs=0.3)


def test_a_method_that_miscounts_its_rows_is_told() -> None:
    words = words_for(host("models-genesis"))
    with pytest.raises(ValueError, match=r"expected passes of \[2\] rows.*, got \[3\]"):
        words([torch.rand(3, 32, 1, 1, 1)], [torch.arange(2)], torch.zeros(2, dtype=torch.int64))


def test_bad_arguments_are_refused() -> None:
    backbone = host("transvw").backbone
    with pytest.raises(ValueError, match="word_weight must not be negative, got -1"):
        WordClassification(backbone, words=3, weight=-1)
    with pytest.raises(ValueError, match="words must be at least 2 to tell them apart, got 1"):
        WordClassification(backbone, words=1)


def wave_cubes(each: int, *, seed: int) -> tuple[Tensor, Tensor]:
    """Four synthetic words: plane waves of random phase and noise; voxels in Hounsfield units."""
    vectors = torch.tensor([(0.9, 0, 0), (0, 0.9, 0), (0.35, 0.35, 0), (0.15, 0, 0.7)])
    places = torch.stack(torch.meshgrid(*(torch.arange(n) for n in SIZE), indexing="ij")).float()
    random = KeyedGenerator.for_examples(seed, torch.arange(4 * each))
    words = torch.arange(4).repeat_interleave(each)
    phases = torch.einsum("nc,cxyz->nxyz", vectors[words], places)
    phases = phases + 2 * math.pi * random.uniform(1, 1, 1)
    values = (0.5 + 0.35 * phases.sin() + 0.05 * random.normal(*SIZE)).clamp(0, 1)
    return ((values * 2000 - 1000).round().to(torch.int16))[:, None, None], words


def crops_at(volumes: Tensor, words: Tensor, rows: Tensor, first: int) -> Batch:
    return Batch(
        volumes=volumes[rows],
        hounsfield=torch.ones(len(rows), 1, 1, dtype=torch.bool),
        examples=first + torch.arange(len(rows)),
        scans=torch.zeros(len(rows), 1, dtype=torch.int64),
        starts=torch.zeros(len(rows), 1, 3, dtype=torch.int64),
        extras={"word": words[rows][:, None]},
    )


def learned(weight: float, steps: int) -> tuple[float, float, float]:
    """Held-out accuracy after so many steps, and the squared errors before and after."""
    torch.manual_seed(0)
    config = TransVWConfig(crop_size=SIZE)
    method = config.build(UNet3DConfig(width=4, norm="batch-statistics").build(1))
    assert isinstance(method, TransVW)
    task = PretextTask(
        method, seed=1, words=WordClassification(method.backbone, words=4, weight=weight)
    )
    task.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    volumes, words = wave_cubes(32, seed=5)
    held, held_words = wave_cubes(16, seed=6)
    optimizer = torch.optim.Adam(task.parameters(), lr=1e-3)
    errors: list[float] = []
    for step in range(steps):
        rows = torch.randint(len(words), (16,))
        outcome = task(crops_at(volumes, words, rows, first=16 * step))
        optimizer.zero_grad()
        outcome.total.backward()
        optimizer.step()
        errors.append(outcome.losses["restoration"].item())
    task.eval()
    with torch.no_grad():
        outcome = task(crops_at(held, held_words, torch.arange(64), first=10**6))
    first, last = sum(errors[:3]) / 3, sum(errors[-10:]) / 10
    return outcome.monitors["word_accuracy"].item(), first, last


@pytest.mark.slow
def test_the_encoder_learns_the_words_beside_restoring() -> None:
    accuracy, first, last = learned(0.01, steps=40)
    assert accuracy >= 0.85
    assert last < 0.85 * first


@pytest.mark.slow
def test_words_of_no_weight_are_not_learned() -> None:
    accuracy, _, _ = learned(0.0, steps=20)
    assert accuracy < 0.5
