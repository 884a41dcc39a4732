"""Swin UNETR as released becomes a checkpoint of its encoder."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from monai.networks import nets

from selfscan.checkpoints.checkpoint import load
from selfscan.checkpoints.import_weights import import_weights
from selfscan.errors import SelfscanError
from selfscan.networks.patch_merging import LegacyPatchMerging
from selfscan.networks.swin_unetr import SwinUNETRConfig


@pytest.mark.slow
def test_the_encoder_comes_in_alone(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nets.SwinUNETR(1, 2, feature_size=12, downsample=LegacyPatchMerging).eval()
    state = {
        "module." + re.sub(r"mlp\.linear([12])", r"mlp.fc\1", name): weight
        for name, weight in network.swinViT.state_dict().items()
    }
    torch.save({"state_dict": {**state, "module.norm.weight": torch.ones(192)}}, tmp_path / "a.pt")
    run = import_weights(
        tmp_path / "a.pt", tmp_path / "run", method="swin-unetr", crop_size=(64, 32, 32)
    )
    checkpoint = load(run)
    assert checkpoint.part == "encoder"
    assert checkpoint.backbone == SwinUNETRConfig(feature_size=12, patch_merging="legacy")
    assert len(checkpoint.weights) == 126
    assert checkpoint.crop_size == (64, 32, 32)
    ours = checkpoint.backbone.build(1).eval()
    ours.load_state_dict(
        {n.removeprefix("backbone."): w for n, w in checkpoint.weights.items()}, strict=False
    )
    volumes = torch.rand(1, 1, 64, 32, 32)
    with torch.no_grad():
        levels = zip(ours.encode(volumes), network.swinViT(volumes), strict=True)
        assert all(torch.equal(one, other) for one, other in levels)
    report = json.loads((run / "load_report.json").read_text())
    assert report["skipped"] == {"norm.weight": "a head or the decoder, not part of the encoder"}
    assert "prefix module. stripped from 127 names" in report["notes"]
    assert "crops of (96, 96, 96) voxels replaced by (64, 32, 32)" in report["notes"]
    assert sum("bias_table" in name for name in report["loaded"]) == 8

    today = {f"swinViT.{name}": weight for name, weight in network.swinViT.state_dict().items()}
    torch.save({"state_dict": today}, tmp_path / "a.pt")
    with pytest.raises(SelfscanError, match="give patch_merging='fixed' if"):
        import_weights(tmp_path / "a.pt", tmp_path / "other", method="swin-unetr")
    run = import_weights(
        tmp_path / "a.pt", tmp_path / "fixed", method="swin-unetr", patch_merging="fixed"
    )
    assert load(run).backbone == SwinUNETRConfig(feature_size=12)
    with pytest.raises(ValueError, match="patch_merging is for swin-unetr only, got it for gvsl"):
        import_weights(tmp_path / "a.pt", tmp_path / "other", method="gvsl", patch_merging="fixed")

    del state["module.layers2.0.blocks.0.attn.qkv.bias"]
    torch.save({"state_dict": state}, tmp_path / "a.pt")
    with pytest.raises(SelfscanError, match=r"swinViT\.layers2.*qkv\.bias: not in the file"):
        import_weights(tmp_path / "a.pt", tmp_path / "other", method="swin-unetr")
