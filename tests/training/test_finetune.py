"""Fine-tuning: equal terms for every start, partial loading, freezing, resuming, the checkpoint."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import labelled_store
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch
from labelled_store import example_scan, write_store

from selfscan.checkpoints.checkpoint import Checkpoint, load, save
from selfscan.errors import ContractError, SelfscanError
from selfscan.methods.method import OptimizerConfig
from selfscan.networks.unet3d import UNet3DConfig
from selfscan.scans.contract import PreprocessingContract
from selfscan.scans.store import Store
from selfscan.training.engine import EngineConfig
from selfscan.training.finetune import FinetuneRecipe, build_model, finetune
from selfscan.training.finetune_recipe import Loss
from selfscan.training.segmentation import load_segmenter
from selfscan.training.start import starting_point
from selfscan.training.tasks import SegmentationTask
from selfscan.transforms.augmentation import AugmentationConfig

NETWORK = UNet3DConfig(width=2, norm="instance")
ENGINE = EngineConfig(accelerator="cpu", precision="32-true")
RECIPE = FinetuneRecipe(
    steps=4,
    crop_size=(16, 16, 16),
    optimizer=OptimizerConfig(learning_rate=1e-2),
    checkpoint_every=2,
    overlap=0.25,
)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return write_store(tmp_path / "store")


@pytest.fixture
def pretrained(tmp_path: Path, store: Path) -> Path:
    """A checkpoint of pre-training with a recognizable backbone."""
    torch.manual_seed(42)
    backbone = NETWORK.build(1)
    weights = {f"backbone.{name}": weight for name, weight in backbone.state_dict().items()}
    weights["head.convolution.weight"] = torch.zeros(1, 4, 1, 1, 1)
    checkpoint = Checkpoint(
        weights=weights,
        backbone=NETWORK,
        in_channels=1,
        task="pretraining",
        contract=PreprocessingContract(),
        window_hu=(-600.0, 600.0),
        crop_size=(16, 16, 16),
        license_note="for research",
    )
    save(checkpoint, tmp_path / "run" / "last.safetensors")
    return tmp_path / "run"


def weights_of(run: Path, name: str = "last") -> dict[str, torch.Tensor]:
    return load(run / f"{name}.safetensors").weights


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


def segmenters(store: Path, pretrained: Path, **changes: object):
    """A scratch and a pre-trained segmenter of one seed, before any step."""
    built = []
    for checkpoint in (None, pretrained):
        start = starting_point(
            Store(store),
            checkpoint=checkpoint,
            backbone=NETWORK,
            crop_size=(16, 16, 16),
            window_hu=None,
        )
        options = {"load": "all"} | changes
        built.append(build_model(start, Store(store), SegmentationTask(), seed=3, **options))
    return built


def test_scratch_and_pretrained_share_the_head(store: Path, pretrained: Path) -> None:
    (scratch, nothing), (ours, report) = segmenters(store, pretrained)
    assert nothing is None
    assert report.share == 1.0
    assert equal(scratch.head.state_dict(), ours.head.state_dict())
    given = {
        name.removeprefix("backbone."): weight
        for name, weight in weights_of(pretrained).items()
        if name.startswith("backbone.")
    }
    assert equal(given, ours.backbone.state_dict())
    assert ours.window_hu == (-600.0, 600.0)


def test_loading_the_encoder_leaves_the_decoder_as_from_scratch(
    store: Path, pretrained: Path
) -> None:
    (scratch, _), (ours, report) = segmenters(store, pretrained, load="encoder")
    assert report.part == "encoder"
    assert equal(scratch.backbone.ups.state_dict(), ours.backbone.ups.state_dict())
    assert equal(scratch.backbone.merges.state_dict(), ours.backbone.merges.state_dict())
    assert not equal(scratch.backbone.down.state_dict(), ours.backbone.down.state_dict())


@pytest.mark.slow
def test_a_run_folder(store: Path, pretrained: Path, tmp_path: Path) -> None:
    recipe = replace(RECIPE, crop_size=None, validate_every=2)
    run = finetune(
        store, tmp_path / "out", checkpoint=pretrained, recipe=recipe, engine=ENGINE, cases=2
    )
    found = load(run / "best.safetensors")
    assert found.task == "segmentation"
    assert found.label_names == {0: "background", 1: "ball", 2: "bar"}
    assert (found.scans, found.crop_size, found.window_hu) == (2, (16, 16, 16), (-600.0, 600.0))
    assert found.license_note == "for research"
    assert json.loads((run / "load_report.json").read_text())["share"] == 1.0
    assert "freeze_steps: 0" in (run / "config.yaml").read_text()
    metrics = pd.read_csv(run / "metrics.csv")
    rows = metrics[metrics["name"] == "validation/dice/ball"]
    assert rows["step"].tolist() == [2, 4]
    assert {"train/dice", "train/cross_entropy"} <= set(metrics["name"])
    segmenter, _ = load_segmenter(run)
    assert segmenter.label_names[2] == "bar"


def test_without_validation_scans_the_last_is_kept(store: Path, tmp_path: Path) -> None:
    run = finetune(
        store,
        tmp_path / "out",
        backbone=NETWORK,
        recipe=RECIPE,
        engine=ENGINE,
        validation_split=None,
    )
    assert not (run / "best.safetensors").exists()
    assert load(run).steps == 4


@pytest.mark.slow
def test_a_seed_gives_the_same_bits(store: Path, tmp_path: Path) -> None:
    runs = [
        finetune(store, tmp_path / name, backbone=NETWORK, recipe=RECIPE, engine=ENGINE, seed=seed)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert equal(weights_of(runs[0]), weights_of(runs[1]))
    assert not equal(weights_of(runs[0]), weights_of(runs[2]))


@pytest.mark.slow
def test_resumed_equals_unbroken(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = {"backbone": NETWORK, "recipe": RECIPE, "engine": ENGINE}
    unbroken = finetune(store, tmp_path / "a", **arguments)

    class KilledError(Exception):
        """Stands for the end of a process."""

    def after_step(self: object, step: int) -> None:
        if step == 3:
            raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr("selfscan.training.supervised.SupervisedSegmentation.after_step", after_step)
        with pytest.raises(KilledError):
            finetune(store, tmp_path / "b", **arguments)
    with pytest.raises(SelfscanError, match="not empty"):
        finetune(store, tmp_path / "b", **arguments)
    resumed = finetune(store, tmp_path / "b", **arguments, resume=True)
    assert equal(weights_of(unbroken), weights_of(resumed))


@pytest.mark.slow
def test_what_was_loaded_can_be_frozen(store: Path, pretrained: Path, tmp_path: Path) -> None:
    before = weights_of(pretrained)
    for load_part, frozen in (("all", "backbone."), ("encoder", "backbone.down.")):
        recipe = replace(RECIPE, freeze_steps=4, load=load_part)
        run = finetune(
            store, tmp_path / load_part, checkpoint=pretrained, recipe=recipe, engine=ENGINE
        )
        after = weights_of(run)
        kept = {name: w for name, w in before.items() if name.startswith(frozen)}
        assert equal(kept, after)
        if load_part == "encoder":
            moved = [n for n in after if n.startswith("backbone.merges") and n.endswith("weight")]
            start = {n: w for n, w in before.items() if n in moved}
            assert not any(torch.equal(start[name], after[name]) for name in moved)


@pytest.mark.slow
def test_what_was_loaded_joins_in_by_stages(store: Path, pretrained: Path, tmp_path: Path) -> None:
    optimizer = OptimizerConfig(learning_rate=1e-2, schedule="constant")
    staged = replace(
        RECIPE,
        steps=20,
        optimizer=optimizer,
        freeze_steps=10,
        backbone_rate=0.5,
        backbone_doubling_steps=5,
    )
    arguments = {"checkpoint": pretrained, "engine": ENGINE, "validation_split": None}
    run = finetune(store, tmp_path / "out", recipe=staged, **arguments)
    metrics = pd.read_csv(run / "metrics.csv")
    rates = metrics[metrics["name"] == "train/backbone_learning_rate"]
    # Rows are means of ten steps: all frozen, then five at half the rate and five at the whole.
    assert dict(zip(rates["step"], rates["value"], strict=True)) == pytest.approx(
        {10: 0.0, 20: 0.75e-2}
    )
    name = "backbone.down.0.0.0.weight"
    assert not torch.equal(weights_of(pretrained)[name], weights_of(run)[name])


@pytest.mark.slow
def test_from_scratch_nothing_is_frozen(store: Path, tmp_path: Path) -> None:
    plain, frozen = (
        finetune(
            store,
            tmp_path / str(steps),
            backbone=NETWORK,
            recipe=replace(RECIPE, freeze_steps=steps),
            engine=ENGINE,
        )
        for steps in (0, 4)
    )
    assert equal(weights_of(plain), weights_of(frozen))


def test_a_store_without_labels(tmp_path: Path) -> None:
    store = write_store(tmp_path / "unlabelled", labelled=False)
    with pytest.raises(SelfscanError, match="0 have labels"):
        finetune(store, tmp_path / "out", backbone=NETWORK, recipe=RECIPE, engine=ENGINE)
    assert not (tmp_path / "out").exists()


def test_another_preprocessing_is_refused(store: Path, pretrained: Path, tmp_path: Path) -> None:
    other = replace(load(pretrained), contract=PreprocessingContract(spacing=(1.0, 1.0, 3.0)))
    save(other, pretrained / "last.safetensors")
    with pytest.raises(ContractError, match="found another preprocessing"):
        finetune(store, tmp_path / "out", checkpoint=pretrained, recipe=RECIPE, engine=ENGINE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"backbone_doubling_steps": -1}, "backbone_doubling_steps must not be negative, got -1"),
        ({"backbone_doubling_steps": 9}, "backbone_rate must be below 1 where"),
        ({"freeze_steps": -1}, "freeze_steps must not be negative, got -1"),
        ({"foreground_share": 1.5}, r"foreground_share must lie in \[0, 1\], got 1.5"),
        ({"overlap": 1.0}, r"overlap must lie in \[0, 1\), got 1.0"),
        ({"backbone_rate": 0.0}, "backbone_rate must be positive, got 0.0"),
        ({"load": "decoder"}, "load must be all or encoder, got 'decoder'"),
        ({"loss": "dice"}, "loss must be softmax or sigmoid, got 'dice'"),
    ],
)
def test_bad_recipes(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FinetuneRecipe(**arguments)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["softmax", "sigmoid"])
def test_a_small_network_learns_the_shapes(store: Path, tmp_path: Path, loss: Loss) -> None:
    recipe = replace(
        RECIPE,
        loss=loss,
        steps=30,
        augmentation=AugmentationConfig(affine_probability=0.2),
        optimizer=OptimizerConfig(learning_rate=1e-2, warmup_steps=5, gradient_clip=1.0),
    )
    run = finetune(
        store, tmp_path / "out", backbone=replace(NETWORK, width=4), recipe=recipe, engine=ENGINE
    )
    metrics = pd.read_csv(run / "metrics.csv").set_index("name")["value"]
    assert metrics["validation/dice"] > 0.8


def write_classes(folder: Path, rows: dict[int, str]) -> Path:
    lines = [f"scan-{number},{label}" for number, label in rows.items()]
    path = folder / "classes.csv"
    path.write_text("\n".join(["case,label", *lines]) + "\n")
    return path


CLASSES = {0: "ill", 1: "well", 2: "well", 3: "ill", 4: "ill", 5: "well"}


@pytest.mark.slow
def test_a_classifier_of_whole_scans(store: Path, pretrained: Path, tmp_path: Path) -> None:
    classes = write_classes(tmp_path, CLASSES)
    recipe = replace(RECIPE, crop_size=None, crops_per_scan=2)
    arguments = {"checkpoint": pretrained, "classes": classes, "recipe": recipe, "engine": ENGINE}
    run = finetune(store, tmp_path / "out", cases=2, **arguments)
    found = load(run)
    assert (found.task, found.part, found.scans) == ("classification", "encoder", 2)
    assert found.label_names == {0: "ill", 1: "well"}
    assert not any(name.startswith("backbone.merges") for name in found.weights)
    assert json.loads((run / "load_report.json").read_text())["part"] == "encoder"
    metrics = pd.read_csv(run / "metrics.csv")
    # One scan to validate on has one class: no area, and so no best checkpoint.
    assert metrics.set_index("name").loc["validation/auroc"].isna()["value"]
    assert not (run / "best.safetensors").exists()
    with pytest.raises(SelfscanError, match="other arguments: cases 3"):
        finetune(store, tmp_path / "out", cases=3, resume=True, **arguments)


@pytest.mark.slow
def test_a_small_classifier_learns_who_has_a_bar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def planted(number: int) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
        volume, labels = example_scan(number)
        is_bar = labels == 2
        return np.where(is_bar & (number % 2 == 0), volume - 600, volume).astype(np.int16), labels

    monkeypatch.setattr(labelled_store, "example_scan", planted)
    store = write_store(tmp_path / "store", labelled=False)
    classes = write_classes(tmp_path, {i: "bar" if i % 2 else "none" for i in range(6)})
    recipe = replace(RECIPE, steps=40, optimizer=OptimizerConfig(learning_rate=1e-2))
    run = finetune(
        store,
        tmp_path / "out",
        backbone=replace(NETWORK, width=4),
        classes=classes,
        recipe=recipe,
        engine=ENGINE,
        validation_split="train",
    )
    metrics = pd.read_csv(run / "metrics.csv").set_index("name")["value"]
    assert metrics["validation/auroc"] == 1.0
    assert metrics["validation/cross_entropy"] < 0.5
    assert load(run / "best.safetensors").steps == 40


@pytest.mark.parametrize(
    ("recipe", "classes", "message"),
    [
        ({"loss": "sigmoid"}, True, "recipe.loss is of segmentation"),
        ({"foreground_share": 0.1}, True, "recipe.foreground_share is of segmentation"),
        ({"crops_per_scan": 2}, False, "recipe.crops_per_scan is of classification"),
    ],
)
def test_what_the_other_task_alone_knows_is_refused(
    store: Path, tmp_path: Path, recipe: dict[str, object], classes: bool, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        finetune(
            store,
            tmp_path / "out",
            backbone=NETWORK,
            classes=write_classes(tmp_path, CLASSES) if classes else None,
            recipe=replace(RECIPE, **recipe),
            engine=ENGINE,
        )
    assert not (tmp_path / "out").exists()


def test_a_class_without_a_case_to_learn_from(store: Path, tmp_path: Path) -> None:
    classes = write_classes(tmp_path, {0: "ill", 1: "ill", 4: "well"})
    with pytest.raises(SelfscanError, match="in the split 'train' of well; expected one of each"):
        finetune(
            store, tmp_path / "out", backbone=NETWORK, classes=classes, recipe=RECIPE, engine=ENGINE
        )
