"""Models Genesis for nnU-Net v1: 98 tensors, an intensity rule moved into the first layer."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from published_networks import GenericUNet, randomized

from selfscan.checkpoints.checkpoint import load
from selfscan.checkpoints.import_weights import import_weights
from selfscan.checkpoints.published.genesis_nnunet import read_genesis_nnunet
from selfscan.errors import SelfscanError

pytest.importorskip("dynamic_network_architectures", reason="the extra nnunet is not installed")


def test_the_published_shapes_are_those_of_nnunet() -> None:
    with torch.device("meta"):
        network = GenericUNet()
        found = read_genesis_nnunet({"state_dict": network.state_dict()}, Path("a.model"))
        ours = found.backbone.build(1).state_dict()
    assert len(network.state_dict()) == 98
    assert sum(weight.numel() for weight in network.parameters()) == 30_785_184
    assert {n: w.shape for n, w in found.weights.items()} == {n: w.shape for n, w in ours.items()}
    assert sorted(found.dropped) == [f"seg_outputs.{level}.weight" for level in range(5)]


def test_outputs_are_those_of_the_release_but_where_padding_reaches(tmp_path: Path) -> None:
    network = randomized(GenericUNet(base=2))
    torch.save({"epoch": 6, "state_dict": network.state_dict()}, tmp_path / "a.model")
    run = import_weights(tmp_path / "a.model", tmp_path / "run", method="models-genesis-nnunet")
    checkpoint = load(run)
    ours = checkpoint.backbone.build(1).eval()
    ours.load_state_dict(
        {name.removeprefix("backbone."): w for name, w in checkpoint.weights.items()}
    )
    volumes = torch.rand(1, 1, 32, 32, 64)
    hounsfield = volumes * 2000 - 1000
    with torch.no_grad():
        # The first convolution alone: deeper layers carry the border inwards.
        first = ours.encoder.stages[0][0].convs[0].all_modules[0](volumes)
        theirs = network.conv_blocks_context[0].blocks[0].conv((hounsfield + 775.8457) / 251.9326)
        inside = (..., slice(1, -1), slice(1, -1), slice(1, -1))
        torch.testing.assert_close(first[inside], theirs[inside], atol=1e-4, rtol=1e-4)
        # Behind it nothing differs but the border: give both networks the same first map.
        stem, block = ours.encoder.stages[0][0].convs[0], network.conv_blocks_context[0].blocks[0]
        stem.all_modules[0].weight.copy_(block.conv.weight)
        stem.all_modules[0].bias.copy_(block.conv.bias)
        torch.testing.assert_close(ours(volumes).decoder[0], network(volumes), atol=1e-4, rtol=1e-4)
    assert checkpoint.backbone.strides[-1] == (1, 2, 2)  # type: ignore[attr-defined]


def test_a_part_of_the_decoder_missing_is_an_error(tmp_path: Path) -> None:
    state = GenericUNet(base=1).state_dict()
    del state["tu.3.weight"]
    torch.save(state, tmp_path / "a.model")
    with pytest.raises(SelfscanError, match=r"found no decoder\.transpconvs\.3\.weight"):
        import_weights(tmp_path / "a.model", tmp_path / "run", method="models-genesis-nnunet")
