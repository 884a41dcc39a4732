"""Pre-training from end to end: what a run leaves, and that nothing can shake its weights."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from labelled_store import write_store

from selfscan.checkpoints.checkpoint import load
from selfscan.errors import ContractError, SelfscanError
from selfscan.methods.method import OptimizerConfig
from selfscan.methods.models_genesis import ModelsGenesisConfig
from selfscan.methods.swin_unetr import SwinUNETRPretrainingConfig
from selfscan.networks.unet3d import UNet3DConfig
from selfscan.scans.seen import FILE, Seen
from selfscan.scans.store import Store
from selfscan.training.engine import EngineConfig
from selfscan.training.finetune import FinetuneRecipe, finetune
from selfscan.training.online_probe import OnlineProbe
from selfscan.training.pretrain import PretrainRecipe, pretrain
from selfscan.training.probe import ProbeRecipe, probe
from selfscan.training.seen_scans import note_seen

METHOD = ModelsGenesisConfig(
    crop_size=(16, 16, 16),
    shuffle_windows=20,
    batch_size=2,
    optimizer=OptimizerConfig(learning_rate=1e-2),
)
BACKBONE = UNet3DConfig(width=1)
ENGINE = EngineConfig(accelerator="cpu", precision="32-true")
PROBE = OnlineProbe(cases=2, voxels_per_class=20)
SCRIPT = """
import sys, torch
sys.path.insert(0, {folder!r})
from pathlib import Path
from test_pretrain import *
store, out, *options = sys.argv[1:]
torch.set_num_threads(1)
engine = EngineConfig(accelerator="cpu", precision="32-true", **eval(options[0]))
run(Path(store), Path(out), engine=engine, **eval(options[1]))
"""


def recipe(**changes: Any) -> PretrainRecipe:
    small: dict[str, Any] = {
        "steps": 8,
        "validation_examples": 3,
        "validate_every": 3,
        "checkpoint_every": 2,
        "log_every": 1,
    }
    return PretrainRecipe(**small | changes)


def run(store: Path, out: Path, **changes: Any) -> Path:
    options: dict[str, Any] = {"method": METHOD, "backbone": BACKBONE, "engine": ENGINE, "seed": 3}
    changes["recipe"] = recipe(**changes.pop("recipe", {}))
    return pretrain(store, out, **options | changes)


def run_elsewhere(
    store: Path, out: Path, *, engine: dict[str, Any], **changes: Any
) -> subprocess.Popen[bytes]:
    """The same in a process of its own."""
    script = out.parent / "script.py"
    script.write_text(SCRIPT.format(folder=str(Path(__file__).parent)))
    return subprocess.Popen(
        [sys.executable, str(script), str(store), str(out), repr(engine), repr(changes)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("data") / "store")


@pytest.fixture(scope="module")
def finished(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return run(store, tmp_path_factory.mktemp("runs") / "run")


def bytes_of(out: Path) -> list[bytes]:
    return [(out / name).read_bytes() for name in ("last.safetensors", "best.safetensors")]


def test_a_run_leaves_what_later_verbs_need(finished: Path, store: Path) -> None:
    assert sorted(path.name for path in finished.iterdir()) == [
        "best.json",
        "best.safetensors",
        "config.yaml",
        "examples.npz",
        "last.json",
        "last.safetensors",
        "log.txt",
        "metrics.csv",
        "seen.parquet",
        "state.ckpt",
        "tensorboard",
    ]
    checkpoint = load(finished / "last.safetensors")
    assert (checkpoint.task, checkpoint.steps, checkpoint.scans) == ("pretraining", 8, 2)
    assert (checkpoint.method, checkpoint.backbone) == (METHOD, BACKBONE)
    assert checkpoint.contract == Store(store).contract
    assert checkpoint.crop_size == (16, 16, 16)
    assert checkpoint.license_note == METHOD.license_note
    network = METHOD.build(BACKBONE.build(1))
    network.load_state_dict(checkpoint.weights)
    config = yaml.safe_load((finished / "config.yaml").read_text())
    assert config["recipe"]["steps"] == 8
    assert config["method"]["init_args"]["crop_size"] == [16, 16, 16]
    with np.load(finished / "examples.npz") as shown:
        assert shown["target"].shape == (2, 1, 16, 16, 16)


def test_what_it_saw_is_noted_and_nothing_else(finished: Path, store: Path) -> None:
    seen = Seen.read(finished)
    assert seen is not None
    scans = Store(store)
    assert [leak.case for leak in seen.leaks(scans) if leak.why == "the same voxels"] == [
        "scan-0",
        "scan-1",
        "scan-2",
    ]


def test_metrics_hold_training_and_validation_values(finished: Path) -> None:
    lines = (finished / "metrics.csv").read_text().splitlines()[1:]
    rows = [line.split(",") for line in lines]
    trained = [int(step) for step, name, _ in rows if name == "train/loss"]
    validated = {int(step): float(v) for step, name, v in rows if name == "validation/loss"}
    assert trained == [1, 2, 3, 4, 5, 6, 7, 8]
    assert list(validated) == [3, 6, 8]
    assert validated[8] < validated[3]
    assert load(finished).steps == min(validated, key=validated.__getitem__)


def test_equal_seeds_give_equal_bytes_and_labels_play_no_part(
    finished: Path, tmp_path: Path
) -> None:
    unlabelled = write_store(tmp_path / "store", labelled=False)
    assert bytes_of(run(unlabelled, tmp_path / "run")) == bytes_of(finished)


def test_a_probe_chooses_the_best_and_leaves_the_weights_alone(
    finished: Path, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = run(store, tmp_path / "run", probe=PROBE, recipe={"validate_every": 1})
    assert bytes_of(out)[0] == bytes_of(finished)[0]
    lines = [line.split(",") for line in (out / "metrics.csv").read_text().splitlines()]
    dice = {int(step): float(v) for step, name, v in lines if name == "validation/probe_dice"}
    assert list(dice) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert load(out).steps == max(dice, key=dice.__getitem__)
    assert {"validation/probe_dice/ball", "validation/loss"} <= {name for _, name, _ in lines}
    told = capsys.readouterr().err
    assert f"probe Dice {dice[8]:.4f}" in told
    assert f"best probe Dice {max(dice.values()):.4g} after step {load(out).steps}" in told


@pytest.mark.slow
def test_a_run_with_a_probe_is_resumed_exactly(store: Path, tmp_path: Path) -> None:
    whole = run(store, tmp_path / "whole", probe=PROBE)
    halted = tmp_path / "halted"
    process = run_elsewhere(store, halted, engine={}, probe=PROBE, recipe={"steps": 8})
    metrics = halted / "metrics.csv"
    while not (halted / "best.safetensors").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert bytes_of(run(store, halted, probe=PROBE, resume=True)) == bytes_of(whole)
    assert metrics.read_bytes() == (whole / "metrics.csv").read_bytes()


def test_a_probe_without_labels_fails_before_any_work(tmp_path: Path) -> None:
    unlabelled = write_store(tmp_path / "store", labelled=False)
    with pytest.raises(SelfscanError, match="label"):
        run(unlabelled, tmp_path / "run", probe=PROBE)
    assert not (tmp_path / "run").exists()


def test_other_seeds_give_other_weights(finished: Path, store: Path, tmp_path: Path) -> None:
    out = run(store, tmp_path / "run", seed=4, recipe={"steps": 1})
    one, other = (load(path / "last.safetensors").weights for path in (out, finished))
    assert not torch.equal(one["backbone.down.0.0.0.weight"], other["backbone.down.0.0.0.weight"])


def test_workers_that_read_ahead_change_nothing(
    finished: Path, store: Path, tmp_path: Path
) -> None:
    engine = EngineConfig(accelerator="cpu", precision="32-true", workers=2)
    assert bytes_of(run(store, tmp_path / "run", engine=engine)) == bytes_of(finished)


def test_the_same_command_resumes_and_another_one_does_not(
    finished: Path, store: Path, tmp_path: Path
) -> None:
    with pytest.raises(SelfscanError, match="folder that is not empty"):
        run(store, finished)
    with pytest.raises(SelfscanError, match=r"recipe.steps 9 where it was 8"):
        run(store, finished, resume=True, recipe={"steps": 9})
    before = bytes_of(finished)
    assert bytes_of(run(store, finished, resume=True)) == before


def test_a_run_is_not_resumed_on_other_scans(store: Path, tmp_path: Path) -> None:
    copy = write_store(tmp_path / "store")
    run(copy, tmp_path / "run", recipe={"steps": 2})
    volume = next((copy / "volumes").glob("*.b2nd"))
    write_store(copy, channels=2)
    assert volume.exists()
    with pytest.raises(SelfscanError, match="a run on 2 other scans"):
        run(copy, tmp_path / "run", recipe={"steps": 2}, resume=True)


def test_a_run_can_start_from_another_with_other_channels(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two = write_store(tmp_path / "two", channels=2)
    out = run(two, tmp_path / "run", init=finished, backbone=None, recipe={"steps": 1})
    checkpoint = load(out / "last.safetensors")
    assert checkpoint.backbone == BACKBONE
    assert checkpoint.in_channels == 2
    assert checkpoint.steps == load(finished).steps + 1
    assert "1 to 2 input channels" in capsys.readouterr().err
    assert (out / "load_report.json").exists()


def test_what_is_seen_adds_up_from_run_to_run(
    finished: Path, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = shutil.copytree(finished, tmp_path / "first")
    source, test = Store(store), Store(store).select(splits=["test"])
    Seen.of(source.select(ids=["scan-5"])).write(first)
    note_seen(tmp_path, source.select(ids=["scan-4"]), source.select(ids=["scan-0"]), init=first)
    seen = Seen.read(tmp_path)
    assert seen is not None
    assert {leak.case for leak in seen.leaks(test)} == {"scan-4", "scan-5"}
    (first / FILE).unlink()
    (tmp_path / FILE).unlink()
    note_seen(tmp_path, source.select(ids=["scan-4"]), source.select(ids=["scan-0"]), init=first)
    assert Seen.read(tmp_path) is None
    assert "cannot be noted" in capsys.readouterr().err


def test_a_checkpoint_of_other_preprocessing_is_refused(
    finished: Path, store: Path, tmp_path: Path
) -> None:
    other = write_store(tmp_path / "other")
    contract = (other / "contract.json").read_text().replace("99.5", "99.0")
    (other / "contract.json").write_text(contract)
    with pytest.raises(ContractError, match="percentiles"):
        run(other, tmp_path / "run", init=finished)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_of_a_method_that_trains_the_encoder_no_decoder_is_kept(
    store: Path, tmp_path: Path
) -> None:
    method = SwinUNETRPretrainingConfig(crop_size=(16, 16, 16), projected=8)
    network = UNet3DConfig(width=2, norm="instance")
    out = run(store, tmp_path / "run", method=method, backbone=network, probe=PROBE)
    made = load(out)
    assert made.part == "encoder"
    kept = {name.split(".")[1] for name in made.weights if name.startswith("backbone.")}
    assert kept == {"down"}
    first = probe(store, tmp_path / "probe", checkpoint=out, cases=2, engine=ENGINE)
    floor = probe(
        store,
        tmp_path / "floor",
        backbone=network,
        part="encoder",
        recipe=ProbeRecipe(crop_size=(16, 16, 16)),
        cases=2,
        engine=ENGINE,
    )
    assert not first["dice"].equals(floor["dice"])
    found = [
        json.loads((tmp_path / name / "probe.json").read_text()) for name in ("probe", "floor")
    ]
    # Four levels down, of 4, 8, 16 and 32 channels; with a decoder the finest would differ.
    assert [(f["part"], f["features"]) for f in found] == [("encoder", 60)] * 2
    recipe_ = FinetuneRecipe(steps=1, crop_size=(16, 16, 16))
    tuned = finetune(
        store, tmp_path / "tuned", checkpoint=out, cases=2, recipe=recipe_, engine=ENGINE
    )
    report = json.loads((tuned / "load_report.json").read_text())
    assert (report["part"], report["share"], report["missing"]) == ("encoder", 1.0, [])
    again = run(store, tmp_path / "again", method=METHOD, backbone=None, init=out)
    report = json.loads((again / "load_report.json").read_text())
    assert (report["part"], report["share"]) == ("encoder", 1.0)


def test_crops_larger_than_the_scans_are_padded_and_told(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    large = ModelsGenesisConfig(crop_size=(32, 32, 24), shuffle_windows=20)
    out = run(store, tmp_path / "run", method=large, recipe={"steps": 1})
    assert load(out).crop_size == (32, 32, 24)
    assert "69% of a crop lies outside its scan" in capsys.readouterr().err


def test_a_method_is_known_by_its_name_and_a_wrong_argument_leaves_no_trace(
    store: Path, tmp_path: Path
) -> None:
    with pytest.raises((SelfscanError, ValueError), match="dream"):
        run(store, tmp_path / "run", method="dream")
    with pytest.raises(SelfscanError, match="expected a finished store"):
        run(tmp_path / "nowhere", tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"validation_share": 1.0}, "validation_share must lie between 0 and 1"),
        ({"validation_examples": 0}, "validation_examples must be at least 1"),
        ({"steps": 0}, "steps must be at least 1"),
    ],
)
def test_recipes_without_a_meaning_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PretrainRecipe(**changes)


@pytest.mark.slow
def test_killed_at_random_moments_and_resumed_gives_the_same_bytes(
    store: Path, tmp_path: Path
) -> None:
    changes = {"recipe": {"steps": 30, "accumulate": 2, "checkpoint_every": 4}}
    whole = run(store, tmp_path / "whole", **changes)
    out = tmp_path / "killed"
    moments = random.Random(6)
    for resume, earliest in ((False, 2), (True, 12)):
        process = run_elsewhere(store, out, engine={"workers": 2}, resume=resume, **changes)
        reached = 0
        while reached < earliest:
            assert process.poll() is None
            time.sleep(0.01)
            metrics = out / "metrics.csv"
            lines = metrics.read_text().splitlines()[1:] if metrics.exists() else []
            reached = max((int(line.split(",")[0]) for line in lines if "," in line), default=0)
        time.sleep(moments.uniform(0, 0.2))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert reached < 30
    last = run_elsewhere(store, out, engine={"workers": 2}, resume=True, **changes)
    assert last.wait() == 0
    assert bytes_of(out) == bytes_of(whole)
    assert (out / "metrics.csv").read_bytes() == (whole / "metrics.csv").read_bytes()
    assert not [path for path in out.iterdir() if path.name.startswith(".")]
