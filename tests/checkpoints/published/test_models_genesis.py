"""Models Genesis as released: 106 tensors become 64, and the network computes what it did."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from published_networks import GenesisUNet, randomized

from selfscan.checkpoints.checkpoint import load
from selfscan.checkpoints.import_weights import import_weights
from selfscan.checkpoints.published.models_genesis import read_models_genesis
from selfscan.errors import SelfscanError
from selfscan.networks.unet3d import UNet3DConfig


def saved(network: GenesisUNet, path: Path) -> Path:
    state = {f"module.{name}": weight for name, weight in network.state_dict().items()}
    torch.save({"epoch": 1, "state_dict": state, "optimizer_state_dict": {"state": {}}}, path)
    return path


def test_the_published_shapes_are_those_of_the_published_width() -> None:
    with torch.device("meta"):
        state = GenesisUNet().state_dict()
        ours = UNet3DConfig().build(1).state_dict()
    assert len(state) == 106
    found = read_models_genesis({"state_dict": state}, Path("a.pt"))
    assert found.backbone == UNet3DConfig()
    assert {name: w.shape for name, w in found.weights.items()} == {
        name: w.shape for name, w in ours.items()
    }
    assert len(found.weights) == 62
    assert len(found.dropped) == 3 * 14 + 2


def test_outputs_are_those_of_the_release(tmp_path: Path) -> None:
    network = randomized(GenesisUNet(width=2))
    run = import_weights(
        saved(network, tmp_path / "a.pt"), tmp_path / "run", method="models-genesis"
    )
    checkpoint = load(run)
    ours = checkpoint.backbone.build(1).eval()
    ours.load_state_dict(
        {name.removeprefix("backbone."): w for name, w in checkpoint.weights.items()}
    )
    volumes = torch.rand(2, 1, 16, 8, 24)
    with torch.no_grad():
        assert torch.equal(ours(volumes).decoder[0], network(volumes))
    assert checkpoint.contract.spacing is None
    assert checkpoint.window_hu == (-1000, 1000)
    assert checkpoint.crop_size == (64, 64, 32)
    assert checkpoint.method is not None
    assert checkpoint.method.name == "models-genesis"
    assert "non-commercial" in checkpoint.license_note
    assert checkpoint.origin.startswith("a.pt, sha256 ")
    report = json.loads((run / "load_report.json").read_text())
    assert report["share"] == 1.0
    assert report["missing"] == []
    assert "prefix module. or classficationNet. stripped from 106 names" in report["notes"]
    assert report["skipped"]["down.0.0.1.running_mean"].startswith("running statistics")
    assert report["skipped"]["out_tr.final_conv.weight"].startswith("a head")


@pytest.mark.parametrize("name", ["down_tr64.ops.1.bn1.bias", "down_tr512.ops.0.conv1.weight"])
def test_one_tensor_of_the_encoder_missing_or_cut_is_an_error(tmp_path: Path, name: str) -> None:
    state = randomized(GenesisUNet(width=2)).state_dict()
    weight = state.pop(name)
    for wrong, why in (({}, "not in the file"), ({name: weight[1:]}, "found shape")):
        torch.save({"state_dict": state | wrong}, tmp_path / "a.pt")
        with pytest.raises(SelfscanError, match=rf"a\.pt: found .* 1 tensors at fault.*{why}"):
            import_weights(tmp_path / "a.pt", tmp_path / "run", method="models-genesis")
    assert not (tmp_path / "run").exists()


def test_one_tensor_of_the_decoder_missing_is_told(tmp_path: Path) -> None:
    state = randomized(GenesisUNet(width=2)).state_dict()
    del state["up_tr64.ops.0.bn1.weight"]
    torch.save({"state_dict": state}, tmp_path / "a.pt")
    run = import_weights(tmp_path / "a.pt", tmp_path / "run", method="models-genesis")
    report = json.loads((run / "load_report.json").read_text())
    assert report["missing"] == ["merges.0.0.1.weight"]


def test_less_than_most_of_it_is_an_error(tmp_path: Path) -> None:
    state = randomized(GenesisUNet(width=2)).state_dict()
    half = {name: weight for name, weight in state.items() if name.startswith(("down_", "up_tr64"))}
    torch.save(half, tmp_path / "a.pt")
    with pytest.raises(
        SelfscanError, match=r"found [34]\d\.\d% .*expected all of the encoder and 90%"
    ):
        import_weights(tmp_path / "a.pt", tmp_path / "run", method="models-genesis")


def test_another_network_is_refused(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(1, 1).state_dict(), tmp_path / "a.pt")
    with pytest.raises(SelfscanError, match=r"found no down_tr64.* first weight, bias; expected"):
        import_weights(tmp_path / "a.pt", tmp_path / "run", method="models-genesis")
