"""The verb `import`: what it changes is told, what it cannot use is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from published_networks import GenesisUNet, randomized

from selfscan import cli
from selfscan.checkpoints.checkpoint import load
from selfscan.checkpoints.import_weights import import_weights
from selfscan.checkpoints.published import READERS
from selfscan.errors import SelfscanError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "Genesis_Chest_CT.pt"
    torch.save({"state_dict": randomized(GenesisUNet(width=2)).state_dict()}, path)
    return path


def test_the_command_line_names_method_and_changes(file: Path, tmp_path: Path) -> None:
    options = ["--method", "models-genesis", "--spacing", "1.5", "1.5", "2", "--crop_size", "32"]
    assert cli.main(["import", str(file), str(tmp_path / "run"), *options, "40", "16"]) == 0
    checkpoint = load(tmp_path / "run")
    assert checkpoint.contract.spacing == (1.5, 1.5, 2.0)
    assert checkpoint.crop_size == (32, 40, 16)
    notes = json.loads((tmp_path / "run" / "load_report.json").read_text())["notes"]
    assert "spacing None of the original replaced by (1.5, 1.5, 2.0) mm" in notes
    assert "crops of (64, 64, 32) voxels replaced by (32, 40, 16)" in notes


def test_more_channels_are_adapted_and_told(file: Path, tmp_path: Path) -> None:
    one = import_weights(file, tmp_path / "one", method="models-genesis")
    three = import_weights(file, tmp_path / "three", method="models-genesis", in_channels=3)
    report = json.loads((three / "load_report.json").read_text())
    assert report["adapted"] == {"down.0.0.0.weight": "1 to 3 input channels"}
    networks = []
    for run, channels in ((one, 1), (three, 3)):
        checkpoint = load(run)
        network = checkpoint.backbone.build(channels)
        network.load_state_dict(
            {name.removeprefix("backbone."): w for name, w in checkpoint.weights.items()}
        )
        networks.append(network)
    volumes = torch.rand(1, 1, 16, 16, 16)
    with torch.no_grad():
        single = networks[0](volumes).decoder[0]
        triple = networks[1](volumes.expand(-1, 3, -1, -1, -1)).decoder[0]
    torch.testing.assert_close(single, triple, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("method", READERS)
def test_a_mislabeled_file_is_refused_by_every_reader(method: str, tmp_path: Path) -> None:
    torch.save({"state_dict": torch.nn.Linear(2, 2).state_dict()}, tmp_path / "a.pt")
    with pytest.raises(SelfscanError, match=r"a\.pt: found no .*; expected"):
        import_weights(tmp_path / "a.pt", tmp_path / "run", method=method)
    assert not (tmp_path / "run").exists()


def test_arguments_out_of_range_are_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"method must be one of models-genesis, .*got 'genesis'"):
        import_weights(file, tmp_path / "run", method="genesis")
    with pytest.raises(ValueError, match=r"crop_size must be divisible by \(8, 8, 8\)"):
        import_weights(file, tmp_path / "run", method="models-genesis", crop_size=(20, 16, 16))
    with pytest.raises(ValueError, match="in_channels must be at least 1"):
        import_weights(file, tmp_path / "run", method="models-genesis", in_channels=0)
    assert not (tmp_path / "run").exists()


def test_a_folder_in_use_is_left_alone(file: Path, tmp_path: Path) -> None:
    run = import_weights(file, tmp_path / "run", method="models-genesis")
    with pytest.raises(SelfscanError, match="not empty"):
        import_weights(file, run, method="models-genesis")
    import_weights(file, run, method="models-genesis", overwrite=True)
