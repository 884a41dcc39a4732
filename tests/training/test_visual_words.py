"""Runs on visual words: any host, both sides, the head saved, resumed to the bit, clear errors."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from labelled_store import write_store
from word_table import write_words

from selfscan.checkpoints.checkpoint import load
from selfscan.cli import main
from selfscan.errors import SelfscanError
from selfscan.flags import parse
from selfscan.methods.gvsl import GVSLConfig
from selfscan.methods.method import MethodConfig, OptimizerConfig
from selfscan.methods.models_genesis import ModelsGenesisConfig
from selfscan.methods.swin_unetr import SwinUNETRPretrainingConfig
from selfscan.methods.transvw import TransVWConfig
from selfscan.methods.vox2vec import Vox2VecConfig
from selfscan.networks.backbone import BackboneConfig
from selfscan.networks.fpn3d import FPN3DConfig
from selfscan.networks.gvsl_unet import GVSLUNetConfig
from selfscan.networks.unet3d import UNet3DConfig
from selfscan.scans.store import Store
from selfscan.scans.words import Words
from selfscan.training.engine import EngineConfig
from selfscan.training.pretrain import PretrainRecipe, pretrain
from selfscan.training.step import Stepper
from selfscan.training.visual_words import VisualWords

ENGINE = EngineConfig(accelerator="cpu", precision="32-true")
SIZE = (16, 16, 16)
TRANSVW = TransVWConfig(
    crop_size=SIZE,
    shuffle_windows=20,
    batch_size=2,
    optimizer=OptimizerConfig(algorithm="adam", learning_rate=1e-2),
)
UNET, PYRAMID = UNet3DConfig(width=1), FPN3DConfig(channels=2, levels=2)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("data") / "store")


@pytest.fixture(scope="module")
def words(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_words(store, tmp_path_factory.mktemp("words"))


def run(store: Path, out: Path, **changes: Any) -> Path:
    options: dict[str, Any] = {"method": TRANSVW, "backbone": UNET, "engine": ENGINE, "seed": 3}
    settings = {"steps": 4, "validation_examples": 2, "validate_every": 2, "checkpoint_every": 2}
    recipe = PretrainRecipe(**settings | {"log_every": 1} | changes.pop("recipe", {}))
    return pretrain(store, out, **options | changes, recipe=recipe)


@pytest.fixture(scope="module")
def finished(store: Path, words: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return run(store, tmp_path_factory.mktemp("runs") / "run", words=words)


def logged(out: Path) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for line in (out / "metrics.csv").read_text().splitlines()[1:]:
        _, name, value = line.split(",")
        found.setdefault(name, []).append(float(value))
    return found


def test_a_run_logs_both_tasks_and_says_where_its_words_are_from(
    finished: Path, words: Path
) -> None:
    names = logged(finished)
    for side in ("train", "validation"):
        assert {f"{side}/restoration", f"{side}/words", f"{side}/word_accuracy"} <= set(names)
    assert len(names["train/words"]) == 4
    checkpoint = load(finished / "last.safetensors")
    assert checkpoint.words_digest == hashlib.sha256(words.read_bytes()).hexdigest()
    assert checkpoint.method == TRANSVW
    assert checkpoint.license_note == TRANSVW.license_note
    assert checkpoint.scans == 2


def test_the_head_is_saved_apart_from_the_backbone(finished: Path) -> None:
    weights = load(finished / "last.safetensors").weights
    parts = {name.split(".")[0] for name in weights}
    assert parts == {"backbone", "head", "words"}
    assert weights["words.classifier.weight"].shape == (2, 32)


def test_a_resumed_run_ends_in_the_same_bytes(
    finished: Path, store: Path, words: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped after two of four steps, as if it had been killed before the third."""
    taken, take = [], Stepper.take

    def stopping(self: Any, number: int, upcoming: Any) -> dict[str, float]:
        if number == 2 and not taken:
            taken.append(number)
            raise KeyboardInterrupt
        return take(self, number, upcoming)

    monkeypatch.setattr(Stepper, "take", stopping)
    with pytest.raises(KeyboardInterrupt):
        run(store, tmp_path / "run", words=words)
    assert load(tmp_path / "run" / "last.safetensors").steps == 2
    run(store, tmp_path / "run", words=words, resume=True)
    for name in ("last.safetensors", "best.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (finished / name).read_bytes()


@pytest.mark.parametrize(
    ("method", "backbone"),
    [
        (ModelsGenesisConfig(crop_size=SIZE, shuffle_windows=20, batch_size=2), UNET),
        (
            SwinUNETRPretrainingConfig(crop_size=SIZE, projected=4, batch_size=2),
            UNET,
        ),
        (Vox2VecConfig(crop_size=SIZE, voxels=16, projected=4, batch_size=2), PYRAMID),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_other_hosts_take_words(
    store: Path, words: Path, tmp_path: Path, method: MethodConfig, backbone: BackboneConfig
) -> None:
    out = run(store, tmp_path / "run", method=method, backbone=backbone, words=words)
    names = logged(out)
    assert {"train/words", "validation/word_accuracy", "train/loss"} <= set(names)
    assert all(0 <= value <= 1 for value in names["validation/word_accuracy"])
    made = load(out)
    assert any(name.startswith("words.") for name in made.weights)
    assert made.license_note.startswith(method.license_note)
    assert "Visual words: US patents 11,763,952" in made.license_note


def test_words_of_no_weight_are_places_alone(store: Path, words: Path, tmp_path: Path) -> None:
    out = run(store, tmp_path / "run", words=words, word_weight=0.0)
    names = logged(out)
    assert set(names["train/words"]) == {0.0}
    assert names["train/loss"] == names["train/restoration"]
    weights = load(out / "last.safetensors").weights
    one_step = run(store, tmp_path / "short", words=words, word_weight=0.0, recipe={"steps": 1})
    early = load(one_step / "last.safetensors").weights
    for name in ("words.classifier.weight", "words.block.0.weight"):
        assert torch.equal(weights[name], early[name])
    assert not torch.equal(weights["head.convolution.weight"], early["head.convolution.weight"])


def test_the_head_goes_on_where_the_words_are_the_same(
    finished: Path, store: Path, words: Path, tmp_path: Path
) -> None:
    still = dataclasses.replace(
        TRANSVW, optimizer=OptimizerConfig(algorithm="adam", learning_rate=1e-12)
    )
    name = "words.classifier.weight"
    trained = load(finished).weights[name]
    begun = run(
        store, tmp_path / "a", method=still, words=words, init=finished, recipe={"steps": 1}
    )
    torch.testing.assert_close(load(begun).weights[name], trained)
    others = write_words(store, tmp_path / "more.parquet", words=3)
    fresh = run(
        store, tmp_path / "b", method=still, words=others, init=finished, recipe={"steps": 1}
    )
    assert load(fresh).weights[name].shape == (3, 32)


def test_a_method_that_needs_words_says_how_to_make_them(store: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"selfscan discover STORE WORDS.*--words WORDS"):
        run(store, tmp_path / "run")
    with pytest.raises(SelfscanError, match="found nothing; expected the words of"):
        run(store, tmp_path / "run", words=tmp_path / "absent")
    assert not (tmp_path / "run").exists()


def test_a_weight_without_words_is_refused(store: Path, tmp_path: Path) -> None:
    method = ModelsGenesisConfig(crop_size=SIZE, shuffle_windows=20)
    with pytest.raises(ValueError, match=r"word_weight must be given with words.*got 0\.1"):
        run(store, tmp_path / "run", method=method, word_weight=0.1)


def test_pairs_of_patients_take_no_words(store: Path, words: Path, tmp_path: Path) -> None:
    method = GVSLConfig(crop_size=SIZE, batch_size=1)
    with pytest.raises(ValueError, match="MatchedCrops decides by itself"):
        run(store, tmp_path / "run", method=method, backbone=GVSLUNetConfig(width=1), words=words)


def test_other_words_do_not_resume_a_run(store: Path, words: Path, tmp_path: Path) -> None:
    own = tmp_path / "words.parquet"
    own.write_bytes(words.read_bytes())
    run(store, tmp_path / "run", words=own, recipe={"steps": 2})
    write_words(store, own, words=3)
    with pytest.raises(SelfscanError, match="found a run on other visual words"):
        run(store, tmp_path / "run", words=own, recipe={"steps": 2}, resume=True)


def test_scans_that_the_run_may_not_see_are_not_seen(store: Path, words: Path) -> None:
    visual = VisualWords.read(words, None)
    training, held = visual.sides(Store(store))
    assert (training.ids, held.ids) == (("scan-0", "scan-1"), ("scan-2",))
    with pytest.raises(SelfscanError, match="1 scans with words for validation, none of them"):
        visual.sides(Store(store).select(ids=["scan-0", "scan-5"]))
    assert visual.weight == 0.01
    assert len(Words.read(words)) == 2


def test_flags_of_words(
    store: Path, words: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(store), "run", "--method", "transvw:strong", "--words", str(words)]
    parsed = parse(
        pretrain, [*given, "--word_weight", "0.5"], program="selfscan pretrain", description=""
    )
    assert (Path(parsed["words"]), parsed["word_weight"]) == (words, 0.5)
    assert parsed["method"] == TransVWConfig.strong()
    assert main(["pretrain", str(store), str(tmp_path / "run"), "--method", "transvw"]) == 2
    assert "discover them by `selfscan discover STORE WORDS`" in capsys.readouterr().err
