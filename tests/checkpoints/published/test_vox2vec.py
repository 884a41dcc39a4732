"""vox2vec as released: every tensor in its place, whatever lies before its name."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from released_vox2vec import released_name
from torch import Tensor

from selfscan.checkpoints.checkpoint import load
from selfscan.checkpoints.import_weights import import_weights
from selfscan.checkpoints.published.vox2vec import read_vox2vec
from selfscan.networks.fpn3d import FPN3DConfig

SMALL = FPN3DConfig(channels=2, levels=3, blocks=(1, 2, 3))


def released(config: FPN3DConfig) -> dict[str, Tensor]:
    state = config.build(1).state_dict()
    return {released_name(name, config.levels): weight for name, weight in state.items()}


def test_the_published_shapes_are_those_of_the_published_width() -> None:
    with torch.device("meta"):
        state = released(FPN3DConfig())
    assert len(state) == 340
    assert state["left_blocks.4.layers.1.layers.5.weight"].shape == (256, 256, 3, 3, 3)
    assert state["up_blocks.0.0.weight"].shape == (256, 512, 1, 1, 1)
    found = read_vox2vec(state, Path("a.pt"))
    assert found.backbone.build is not None
    assert found.backbone == FPN3DConfig(blocks=(2,) * 6)
    assert (len(found.weights), found.dropped) == (340, {})


@pytest.mark.parametrize("prefix", ["", "backbone."])
def test_every_tensor_comes_to_its_place(tmp_path: Path, prefix: str) -> None:
    torch.manual_seed(3)
    network = SMALL.build(1)
    for weight in network.state_dict().values():
        weight.copy_(torch.rand(weight.shape))
    names = {name: f"{prefix}{released_name(name, 3)}" for name in network.state_dict()}
    state = {names[name]: weight for name, weight in network.state_dict().items()}
    heads = {f"proj_head.{layer}.weight": torch.zeros(3, 3) for layer in (0, 3, 6)}
    torch.save({"state_dict": state | heads}, tmp_path / "a.pt")
    run = import_weights(tmp_path / "a.pt", tmp_path / "run", method="vox2vec")
    checkpoint = load(run)
    assert checkpoint.backbone == SMALL
    assert checkpoint.contract.spacing == (1.0, 1.0, 2.0)
    assert checkpoint.window_hu == (-1350, 1000)
    for name, weight in network.state_dict().items():
        assert torch.equal(checkpoint.weights[f"backbone.{name}"], weight)
