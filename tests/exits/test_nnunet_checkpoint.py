"""The file for nnU-Net: all names that it asks for, kernels turned, a plan that describes it."""

from __future__ import annotations

import json
from pathlib import Path
from pydoc import locate
from typing import Any

import pytest
import torch
from small_models import PLAIN, RESENC, write_model

from selfscan.checkpoints.checkpoint import load
from selfscan.checkpoints.import_weights import import_weights
from selfscan.exits.export import export
from selfscan.exits.leaving import leaving
from selfscan.networks.nnunet import NNUNetConfig
from selfscan.networks.plans import config_of

pytest.importorskip("dynamic_network_architectures", reason="the extra nnunet is not installed")


def built(configuration: dict[str, Any], *, classes: int) -> torch.nn.Module:
    """The network that a configuration of nnU-Net describes, as nnU-Net builds it."""
    described = configuration["architecture"]
    arguments = dict(described["arch_kwargs"])
    for name in described["_kw_requires_import"]:
        arguments[name] = locate(arguments[name])
    kind: Any = locate(described["network_class_name"])
    network: torch.nn.Module = kind(input_channels=1, num_classes=classes, **arguments)
    return network.eval()


@pytest.mark.parametrize("network", [RESENC, PLAIN])
def test_the_network_described_computes_the_same_on_turned_arrays(
    tmp_path: Path, network: NNUNetConfig
) -> None:
    run = write_model(tmp_path / "run", network, spacing=(0.5, 1.0, 2.0))
    out = export(run, tmp_path / "out", to="nnunet")
    content = torch.load(out / "checkpoint_final.pth", weights_only=True)
    configuration = json.loads((out / "configuration.json").read_text())
    theirs = built(configuration, classes=4)
    weights = content["network_weights"]
    heads = {name for name in theirs.state_dict() if ".seg_layers." in name}
    assert weights.keys() == theirs.state_dict().keys()
    fits = {n: w for n, w in weights.items() if n not in heads}
    assert set(theirs.load_state_dict(fits, strict=False).missing_keys) == heads
    model = leaving(run)
    volumes = torch.rand(2, 1, 16, 24, 8)
    with torch.no_grad():
        features = model.backbone(volumes)
        arrays = theirs.encoder(volumes.permute(0, 1, 4, 3, 2))
        for one, other in zip(features.encoder, arrays, strict=True):
            torch.testing.assert_close(one, other.permute(0, 1, 4, 3, 2), atol=1e-4, rtol=1e-4)
        logits = theirs.decoder(arrays).permute(0, 1, 4, 3, 2)
        ours = theirs.decoder.seg_layers[-1](features.decoder[0])
        torch.testing.assert_close(ours, logits, atol=1e-3, rtol=1e-3)
    assert configuration["spacing"] == [2.0, 1.0, 0.5]
    assert configuration["patch_size"] == [8, 24, 16]
    plan = content["nnssl_adaptation_plan"]
    assert json.loads((out / "adaptation_plan.json").read_text()) == plan
    assert plan["key_to_encoder"] == theirs.key_to_encoder
    assert plan["key_to_stem"] == theirs.key_to_stem
    assert set(plan["keys_to_in_proj"]) == set(theirs.keys_to_in_proj)
    assert all(f"{key}.weight" in weights for key in plan["keys_to_in_proj"])
    assert plan["key_to_lpe"] is None
    assert plan["selfscan"]["window_hu"] == [-100.0, 300.0]
    arguments = configuration["architecture"]["arch_kwargs"]
    assert config_of(network.architecture, arguments) == network


def test_what_left_comes_in_again_to_the_bit(tmp_path: Path) -> None:
    run = write_model(tmp_path / "run", RESENC, segmentation=False, spacing=(0.5, 1.0, 2.0))
    out = export(run, tmp_path / "out", to="nnunet")
    again = load(import_weights(out / "checkpoint_final.pth", tmp_path / "in", method="nnssl"))
    ours = load(run)
    assert again.backbone == ours.backbone
    assert again.contract == ours.contract
    assert again.crop_size == ours.crop_size
    assert again.weights.keys() == ours.weights.keys()
    assert all(torch.equal(again.weights[name], ours.weights[name]) for name in ours.weights)


def test_the_page_warns_of_other_intensities_and_of_a_missing_decoder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_model(tmp_path / "run", RESENC, segmentation=False, part="encoder")
    out = export(run, tmp_path / "out", to="nnunet")
    page = (out / "README.md").read_text()
    assert "these weights saw -100 to 300 HU" in page
    assert "that of the file is random" in page
    assert "NibabelIOWithReorient" in page
    assert "warning: nnU-Net gives scans mean 0" in capsys.readouterr().err
    other = export(run, tmp_path / "other", to="nnunet")
    one, two = (
        torch.load(folder / "checkpoint_final.pth", weights_only=True)["network_weights"]
        for folder in (out, other)
    )
    assert all(torch.equal(one[name], two[name]) for name in one)
