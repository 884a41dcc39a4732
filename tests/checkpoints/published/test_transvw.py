"""TransVW as released: the U-Net under any decoration, or its encoder alone, without words."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from published_networks import GenesisUNet, randomized
from published_transvw import published_shapes

from selfscan.checkpoints.checkpoint import load
from selfscan.checkpoints.import_weights import import_weights
from selfscan.checkpoints.published.transvw import read_transvw
from selfscan.networks.unet3d import UNet3DConfig


def test_the_published_shapes_are_those_of_the_published_width() -> None:
    shapes = published_shapes()
    with torch.device("meta"):
        state = {name: torch.zeros(shape) for name, shape in shapes.items()}
        ours = UNet3DConfig().build(1).state_dict()
    found = read_transvw({"state_dict": state}, Path("a.pt"))
    assert found.backbone == UNet3DConfig()
    assert {n: w.shape for n, w in found.weights.items()} == {n: w.shape for n, w in ours.items()}
    heads = {name for name, why in found.dropped.items() if why.startswith("a head")}
    assert {name.partition(".")[0] for name in heads} == {"clc_out", "out_tr"}


@pytest.mark.parametrize("prefix", ["", "module.", "module.classficationNet."])
@pytest.mark.parametrize("whole", [True, False])
def test_outputs_are_those_of_the_release(tmp_path: Path, prefix: str, whole: bool) -> None:
    network = randomized(GenesisUNet(width=2))
    state = {
        f"{prefix}{name}": weight
        for name, weight in network.state_dict().items()
        if whole or name.startswith("down_")
    }
    extra = {f"{prefix}projection_head.0.weight": torch.zeros(1), "best_acc": 0.5}
    torch.save({"state_dict": {**state, **extra}, "epoch": 2}, tmp_path / "a.pt")
    checkpoint = load(import_weights(tmp_path / "a.pt", tmp_path / "run", method="transvw"))
    assert checkpoint.part == ("backbone" if whole else "encoder")
    assert "11,763,952" in checkpoint.license_note
    assert checkpoint.method is not None
    assert checkpoint.method.name == "transvw"
    ours = checkpoint.backbone.build(1).eval()
    weights = {n.removeprefix("backbone."): w for n, w in checkpoint.weights.items()}
    assert not ours.load_state_dict(weights, strict=whole).unexpected_keys
    volumes = torch.rand(2, 1, 16, 8, 24)
    with torch.no_grad():
        assert torch.equal(ours.encode(volumes)[0], network.down_tr64.ops(volumes))
        if whole:
            assert torch.equal(ours(volumes).decoder[0], network(volumes))
