"""Checkpoints: everything comes back, equal ones are equal bytes, and nothing else is read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from selfscan.checkpoints.checkpoint import Checkpoint, load, resolve, save
from selfscan.errors import SelfscanError
from selfscan.methods.models_genesis import ModelsGenesisConfig
from selfscan.networks.unet3d import UNet3DConfig
from selfscan.scans.contract import PreprocessingContract


def checkpoint(**changes: object) -> Checkpoint:
    torch.manual_seed(4)
    network = UNet3DConfig(width=1, norm="instance")
    made = Checkpoint(
        weights={f"backbone.{k}": w for k, w in network.build(2).state_dict().items()},
        backbone=network,
        in_channels=2,
        task="segmentation",
        contract=PreprocessingContract(spacing=(1.0, 1.5, 2.0)),
        window_hu=(-500.0, 300.0),
        crop_size=(16, 24, 32),
        method=ModelsGenesisConfig(window_hu=(-500.0, 300.0)),
        label_names={0: "background", 1: "liver"},
        store_digest="abc",
        scans=7,
        steps=11,
        license_note="note",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def rewritten(path: Path, **changes: object) -> Path:
    """The checkpoint with another description in its header."""
    with safe_open(path, framework="pt") as file:
        described = json.loads(file.metadata()["selfscan"])
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    del described["sha256"]  # as checkpoints of earlier versions have none
    save_file(weights, path, metadata={"selfscan": json.dumps(described | changes)})
    return path


def test_a_checkpoint_comes_back_whole(tmp_path: Path) -> None:
    saved = checkpoint()
    save(saved, tmp_path / "best.safetensors")
    loaded = load(tmp_path)
    assert loaded.weights.keys() == saved.weights.keys()
    assert all(torch.equal(loaded.weights[name], saved.weights[name]) for name in saved.weights)
    assert replace(loaded, weights={}) == replace(saved, weights={})
    loaded.backbone.build(2).load_state_dict(
        {name.removeprefix("backbone."): weight for name, weight in loaded.weights.items()}
    )


def test_from_scratch_there_is_no_method(tmp_path: Path) -> None:
    save(checkpoint(method=None, label_names={}, task="pretraining"), tmp_path / "a.safetensors")
    assert load(tmp_path / "a.safetensors").method is None


def test_equal_checkpoints_are_equal_bytes_and_leave_no_other_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(checkpoint(), tmp_path / f"{name}.safetensors")
    one, other = ((tmp_path / f"{name}.safetensors").read_bytes() for name in ("a", "b"))
    assert one == other
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.json",
        "a.safetensors",
        "b.json",
        "b.safetensors",
    ]


def test_the_readable_description_is_a_copy_of_the_one_inside(tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    save(checkpoint(), path)
    beside = json.loads(path.with_suffix(".json").read_text())
    with safe_open(path, framework="pt") as file:
        assert json.loads(file.metadata()["selfscan"]) == beside
    assert beside["backbone"] == {
        "name": "unet3d",
        "arguments": {
            "width": 1,
            "norm": "instance",
            "skips": True,
            "enlargement": "transposed",
            "gradient_checkpointing": False,
        },
    }
    assert beside["method"]["name"] == "models-genesis"
    path.with_suffix(".json").write_text("{}")
    assert load(path).steps == 11


def test_a_run_folder_means_its_best_checkpoint_then_its_last(tmp_path: Path) -> None:
    with pytest.raises(SelfscanError, match="found a folder without checkpoints"):
        resolve(tmp_path)
    with pytest.raises(SelfscanError, match="found nothing"):
        resolve(tmp_path / "absent")
    save(checkpoint(), tmp_path / "last.safetensors")
    assert resolve(tmp_path).name == "last.safetensors"
    save(checkpoint(), tmp_path / "best.safetensors")
    assert resolve(tmp_path).name == "best.safetensors"
    assert resolve(tmp_path / "last.safetensors").name == "last.safetensors"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone": {"name": "resnet", "arguments": {}}}, "backbone 'resnet'; expected one of"),
        ({"method": {"name": "dream", "arguments": {}}}, "method 'dream'; expected one of"),
        (
            {"backbone": {"name": "unet3d", "arguments": {"depth": 9}}},
            "backbone unet3d: found arguments depth; expected",
        ),
        ({"format": 99}, "checkpoint format 99; expected 1"),
    ],
)
def test_what_is_unknown_here_is_named(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    path = tmp_path / "best.safetensors"
    save(checkpoint(), path)
    with pytest.raises(SelfscanError, match=message) as error:
        load(rewritten(path, **changes))
    assert str(path) in str(error.value)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    torch.save({"a": torch.ones(1)}, path)
    with pytest.raises(SelfscanError, match="no readable safetensors file"):
        load(path)
    save_file({"a": torch.ones(1)}, path)
    with pytest.raises(SelfscanError, match="without a selfscan description"):
        load(path)
