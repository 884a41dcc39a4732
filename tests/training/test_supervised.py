"""What fine-tuning minimizes, sees, and holds still."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from labelled_store import write_store
from monai.losses import DiceCELoss

from selfscan.losses.dice_bce import dice_bce
from selfscan.networks.unet3d import UNet3D
from selfscan.scans.crops import Batch, CropDataset, LabelCrops, collate
from selfscan.scans.store import Store
from selfscan.training.engine import EngineConfig
from selfscan.training.finetune_recipe import Loss
from selfscan.training.segmentation import Segmenter
from selfscan.training.supervised import SupervisedSegmentation, validation_dice
from selfscan.transforms.augmentation import AugmentationConfig

NAMES = {0: "background", 1: "ball", 2: "bar"}
NOTHING = AugmentationConfig(
    affine_probability=0,
    noise_probability=0,
    blur_probability=0,
    brightness_probability=0,
    gamma_probability=0,
)


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(write_store(tmp_path / "store"))


def batch_of(store: Store, *examples: int) -> Batch:
    policy = LabelCrops((16, 16, 16), 1.0)
    dataset = CropDataset(store, policy, seed=0, length=10, with_labels=True)
    return collate([dataset[i] for i in examples])


def trainable(
    store: Store,
    *,
    augmentation: AugmentationConfig = NOTHING,
    norm: str = "instance",
    loss: Loss = "softmax",
    freeze_steps: int = 0,
) -> SupervisedSegmentation:
    torch.manual_seed(0)
    backbone = UNet3D(1, width=2, norm=norm)  # type: ignore[arg-type]
    segmenter = Segmenter(backbone, label_names=NAMES, window_hu=(-1000, 1000))
    return SupervisedSegmentation(
        segmenter,
        spacings=torch.tensor([record.spacing for record in store]),
        augmentation=augmentation,
        loss=loss,
        frozen=tuple(backbone.parameters()) if freeze_steps else (),
        freeze_steps=freeze_steps,
        seed=5,
    )


def test_the_loss_is_monais(store: Store) -> None:
    module, batch = trainable(store), batch_of(store, 0, 1, 2)
    volumes, labels = module.augmented(batch)
    reference = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)
    expected = reference(module.segmenter(volumes), labels[:, None])
    torch.testing.assert_close(module(batch).total, expected)


def test_the_loss_of_classes_by_themselves(store: Store) -> None:
    module, batch = trainable(store, loss="sigmoid"), batch_of(store, 0, 1)
    volumes, labels = module.augmented(batch)
    members = torch.stack([labels == label for label in NAMES], dim=1)
    dice, entropy = dice_bce(module.segmenter(volumes), members)
    found = module(batch).losses
    torch.testing.assert_close(found["dice"], dice)
    torch.testing.assert_close(found["cross_entropy"], entropy)


def test_without_augmentation_crops_are_as_stored(store: Store) -> None:
    module, batch = trainable(store), batch_of(store, 0, 1)
    volumes, labels = module.augmented(batch)
    expected = ((batch.volumes[:, 0].float() + 1000) / 2000).clamp(0, 1)
    torch.testing.assert_close(volumes, expected)
    assert torch.equal(labels, batch.labels[:, 0])


def test_an_example_is_augmented_alike_in_any_batch(store: Store) -> None:
    module = trainable(store, augmentation=AugmentationConfig())
    together, _ = module.augmented(batch_of(store, 3, 4))
    alone, _ = module.augmented(batch_of(store, 4))
    torch.testing.assert_close(together[1:], alone)


def test_gradients_reach_everything(store: Store) -> None:
    module = trainable(store)
    module(batch_of(store, 0, 1)).total.backward()
    assert all(parameter.grad is not None for parameter in module.parameters())


def test_frozen_norms_keep_their_statistics(store: Store) -> None:
    module = trainable(store, norm="batch", freeze_steps=2)
    module.train()
    batch = batch_of(store, 0, 1)
    before = module.segmenter.backbone.state_dict()["down.0.0.1.running_mean"].clone()
    module(batch)
    module.after_step(1)
    module.train()
    module(batch)
    assert torch.equal(module.segmenter.backbone.state_dict()["down.0.0.1.running_mean"], before)
    module.after_step(2)
    module(batch)
    after = module.segmenter.backbone.state_dict()["down.0.0.1.running_mean"]
    assert not torch.equal(after, before)


def test_a_resumed_run_knows_whether_it_is_frozen(store: Store) -> None:
    module = trainable(store, norm="batch", freeze_steps=2)
    module.after_step(2)
    resumed = trainable(store, norm="batch", freeze_steps=2)
    resumed.load_state_dict(module.state_dict())
    resumed.train()
    assert all(layer.training for layer in resumed.segmenter.modules())


def test_validation_segments_each_scan(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter = trainable(store).segmenter.eval()
    chosen = store.select(splits=["test"])
    truths = iter([chosen.read_labels(i) for i in range(2)])

    def segment_volume(*_: object, **__: object) -> np.ndarray:
        truth = next(truths)
        return np.stack([(truth == k) for k in range(3)]).astype(np.float32)

    monkeypatch.setattr("selfscan.training.supervised.segment_volume", segment_volume)
    fabric = EngineConfig(accelerator="cpu", precision="32-true").fabric()
    found = validation_dice(segmenter, chosen, crop_size=(16, 16, 16), overlap=0.5, fabric=fabric)
    assert found == pytest.approx({"dice": 1.0, "dice/ball": 1.0, "dice/bar": 1.0})


def test_without_validation_scans_there_is_no_number(store: Store) -> None:
    segmenter = trainable(store).segmenter
    fabric = EngineConfig(accelerator="cpu", precision="32-true").fabric()
    found = validation_dice(segmenter, None, crop_size=(16, 16, 16), overlap=0.5, fabric=fabric)
    assert np.isnan(found["dice"])
