"""GVSL as released: the U-Net alone or in its model, its axes turned."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from published_networks import GVSLRelease, randomized

from selfscan.checkpoints.checkpoint import load
from selfscan.checkpoints.import_weights import import_weights
from selfscan.checkpoints.published.gvsl import read_gvsl
from selfscan.networks.gvsl_unet import GVSLUNetConfig


def test_the_published_shapes_are_those_of_the_published_width() -> None:
    with torch.device("meta"):
        network = GVSLRelease()
        ours = GVSLUNetConfig().build(1).state_dict()
    assert len(network.state_dict()) == 104
    assert sum(weight.numel() for weight in network.parameters()) == 32_440_739
    found = read_gvsl(network.state_dict(), Path("a.pth"))
    assert found.backbone == GVSLUNetConfig()
    assert len(found.weights) == 72
    assert {n: w.shape for n, w in found.weights.items()} == {n: w.shape for n, w in ours.items()}
    assert len(found.dropped) == 32


@pytest.mark.parametrize("prefix", ["", "module.", "unet.", "unet_pre.unet."])
def test_outputs_are_those_of_the_release(tmp_path: Path, prefix: str) -> None:
    network = randomized(GVSLRelease(width=4))
    state = {f"{prefix}{n}": w for n, w in network.unet.state_dict().items()}
    torch.save(state, tmp_path / "a.pth")
    run = import_weights(tmp_path / "a.pth", tmp_path / "run", method="gvsl")
    checkpoint = load(run)
    ours = checkpoint.backbone.build(1).eval()
    ours.load_state_dict(
        {name.removeprefix("backbone."): w for name, w in checkpoint.weights.items()}
    )
    volumes = torch.rand(1, 1, 16, 32, 48)
    with torch.no_grad():
        theirs = network(volumes.permute(0, 1, 4, 3, 2)).permute(0, 1, 4, 3, 2)
        torch.testing.assert_close(ours(volumes).decoder[0], theirs, atol=1e-4, rtol=1e-4)
    assert checkpoint.contract.spacing == (1.0, 1.0, 1.0)
    assert checkpoint.window_hu == (-1024, 1024)
    report = (run / "load_report.json").read_text()
    assert "axes turned from (Z, Y, X) to (X, Y, Z)" in report
    assert prefix in report
