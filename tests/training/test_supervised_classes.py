"""What a classifier minimizes, and what its validation says."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from labelled_store import write_store
from torch.nn import functional

from selfscan.networks.unet3d import UNet3D
from selfscan.scans.crops import Batch, CropDataset, ForegroundCrops, collate
from selfscan.scans.store import Store
from selfscan.training import supervised_classes as module
from selfscan.training.classifier import Classifier
from selfscan.training.engine import EngineConfig
from selfscan.training.supervised_classes import SupervisedClassification, validation_scores
from selfscan.transforms.augmentation import AugmentationConfig

NOTHING = AugmentationConfig(
    affine_probability=0,
    noise_probability=0,
    blur_probability=0,
    brightness_probability=0,
    gamma_probability=0,
)
CLASSES = np.array([0, 1, 1, 1, 0, 1])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(write_store(tmp_path_factory.mktemp("data") / "store", labelled=False))


def trainable(store: Store, augmentation: AugmentationConfig = NOTHING) -> SupervisedClassification:
    torch.manual_seed(0)
    classifier = Classifier(
        UNet3D(1, width=2, norm="instance"),
        label_names={0: "ill", 1: "well"},
        window_hu=(-1000, 1000),
    )
    return SupervisedClassification(
        classifier,
        classes=CLASSES,
        spacings=torch.tensor([record.spacing for record in store]),
        augmentation=augmentation,
        frozen=(),
        freeze_steps=0,
        seed=5,
    )


def batch_of(store: Store, *examples: int, crops: int = 1) -> Batch:
    policy = ForegroundCrops((16, 16, 16), crops)
    dataset = CropDataset(store, policy, seed=0, length=20)
    return collate([dataset[i] for i in examples])


def test_rare_classes_weigh_as_much_as_frequent_ones(store: Store) -> None:
    # Two scans of one class and four of the other: 6 / (2 * 2) and 6 / (2 * 4).
    module = trainable(store)
    assert module.weights.tolist() == pytest.approx([1.5, 0.75])
    batch = batch_of(store, 0, 1, 2, 3)
    volumes = ((batch.volumes[:, 0].float() + 1000) / 2000).clamp(0, 1)
    classes = torch.from_numpy(CLASSES)[batch.scans[:, 0]]
    entropy = functional.cross_entropy(module.classifier(volumes), classes, reduction="none")
    expected = (entropy * torch.tensor([1.5, 0.75])[classes]).mean()
    torch.testing.assert_close(module(batch).total, expected)


def test_the_logits_of_the_crops_of_a_scan_are_averaged(store: Store) -> None:
    module, batch = trainable(store), batch_of(store, 4, 5, crops=3)
    volumes = ((batch.volumes.float() + 1000) / 2000).clamp(0, 1)
    logits = torch.stack([module.classifier(example).mean(0) for example in volumes])
    classes = torch.from_numpy(CLASSES)[batch.scans[:, 0]]
    entropy = functional.cross_entropy(logits, classes, reduction="none")
    torch.testing.assert_close(module(batch).total, (entropy * module.weights[classes]).mean())


def test_each_crop_of_a_scan_is_changed_by_draws_of_its_own(store: Store) -> None:
    always = AugmentationConfig(noise_probability=1.0)
    module, batch = trainable(store, always), batch_of(store, 4, crops=2)
    batch.volumes[:, 1] = batch.volumes[:, 0]
    first, second = module.changed(batch, None, window_hu=(-1000, 1000))[0]
    assert not torch.equal(first, second)
    again, _ = module.changed(batch, None, window_hu=(-1000, 1000))
    assert torch.equal(again[0], first)


def test_validation_gives_the_area_of_whole_scans(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = iter([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8]])
    monkeypatch.setattr(module, "classify_volume", lambda *_, **__: np.array(next(given)))
    fabric = EngineConfig(accelerator="cpu", precision="32-true").fabric()
    train = store.select(splits=["train"])
    options = {"crop_size": (16, 16, 16), "overlap": 0.5, "fabric": fabric}
    model = trainable(store).classifier
    found = validation_scores(model, train, np.array([0, 1, 1]), **options)
    assert found["auroc"] == 1.0
    assert found["balanced_accuracy"] == 0.75
    assert found["cross_entropy"] == pytest.approx(-np.log([0.9, 0.2, 0.8]).mean())
    nothing = validation_scores(model, None, np.array([]), **options)
    assert math.isnan(nothing["auroc"])


def test_one_class_in_validation_leaves_the_area_undefined(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "classify_volume", lambda *_, **__: np.array([0.3, 0.7]))
    fabric = EngineConfig(accelerator="cpu", precision="32-true").fabric()
    found = validation_scores(
        trainable(store).classifier,
        store.select(splits=["test"]),
        np.array([1, 1]),
        crop_size=(16, 16, 16),
        overlap=0.5,
        fabric=fabric,
    )
    assert math.isnan(found["auroc"])
    assert found["cross_entropy"] == pytest.approx(-math.log(0.7))
