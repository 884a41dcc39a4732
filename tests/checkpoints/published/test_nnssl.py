"""Checkpoints of nnssl: the network that their plan describes, axes turned, decoders told apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from selfscan.checkpoints.checkpoint import load
from selfscan.checkpoints.import_weights import import_weights
from selfscan.checkpoints.published.nnssl import read_nnssl
from selfscan.errors import SelfscanError
from selfscan.networks.resenc_unet import ResEncUNetConfig

pytest.importorskip("dynamic_network_architectures", reason="the extra nnunet is not installed")

# Along the network's axes (Z, Y, X).
THEIRS = ResEncUNetConfig(
    features=(2, 3, 4),
    strides=((1, 1, 1), (1, 2, 2), (2, 2, 2)),
    kernel_sizes=((1, 3, 3), (3, 3, 3), (3, 3, 3)),
    blocks=(1, 1, 2),
    decoder_convolutions=(1, 1),
)


def plan(name: str = "ResidualEncoderUNet", **changes: Any) -> dict[str, Any]:
    """An adaptation plan with the fields that nnssl writes."""
    arguments = {
        **THEIRS.arguments(),
        "conv_op": "torch.nn.modules.conv.Conv3d",
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "nonlin": "torch.nn.modules.activation.LeakyReLU",
    }
    configuration = {"spacing": [2.0, 1.0, 0.5], "patch_size": [8, 16, 32]}
    return {
        "architecture_plans": {
            "arch_class_name": name,
            "arch_kwargs": arguments if name == "ResidualEncoderUNet" else None,
            "arch_kwargs_requiring_import": ["conv_op", "norm_op", "nonlin"],
        },
        "pretrain_plan": {
            "transpose_forward": [0, 1, 2],
            "configurations": {"onemmiso": configuration},
        },
        "pretrain_num_input_channels": 1,
        "recommended_downstream_patchsize": [16, 16, 16],
        "key_to_encoder": "encoder.stages",
        "key_to_stem": "encoder.stem",
        "keys_to_in_proj": ["encoder.stem.convs.0.conv", "encoder.stem.convs.0.all_modules.0"],
        "key_to_lpe": None,
        **changes,
    }


def content(**changes: Any) -> dict[str, Any]:
    torch.manual_seed(1)
    network = THEIRS.library_network(1, classes=1)
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.4)
    return {
        "network_weights": network.state_dict(),
        "optimizer_state": {"state": {}, "param_groups": [{"lr": 0.01}]},
        "current_epoch": 3,
        "trainer_name": "BaseMAETrainer",
        "nnssl_adaptation_plan": plan(),
        **changes,
    }


def test_outputs_are_those_of_the_network_on_turned_arrays(tmp_path: Path) -> None:
    theirs = THEIRS.library_network(1, classes=1).eval()
    theirs.load_state_dict(content()["network_weights"])
    torch.save(content(), tmp_path / "a.pth")
    run = import_weights(tmp_path / "a.pth", tmp_path / "run", method="nnssl")
    checkpoint = load(run)
    ours = checkpoint.backbone.build(1).eval()
    ours.load_state_dict({n.removeprefix("backbone."): w for n, w in checkpoint.weights.items()})
    volumes = torch.rand(2, 1, 16, 8, 8)
    with torch.no_grad():
        features = ours(volumes)
        arrays = theirs.encoder(volumes.permute(0, 1, 4, 3, 2))
        logits = theirs.decoder(arrays).permute(0, 1, 4, 3, 2)
        for one, other in zip(features.encoder, arrays, strict=True):
            torch.testing.assert_close(one, other.permute(0, 1, 4, 3, 2), atol=1e-5, rtol=1e-4)
        restored = theirs.decoder.seg_layers[-1](features.decoder[0])
        torch.testing.assert_close(restored, logits, atol=1e-5, rtol=1e-4)
    assert checkpoint.contract.spacing == (0.5, 1.0, 2.0)
    assert checkpoint.crop_size == (32, 16, 8)
    assert checkpoint.method is None
    report = json.loads((run / "load_report.json").read_text())
    assert report["share"] == 1.0
    reasons = set(report["skipped"].values())
    assert reasons == {
        "a second name of the same layer",
        "a head, or a decoder's copy of the encoder",
    }


def test_a_decoder_of_another_kind_is_left_out() -> None:
    state = {
        "encoder.stages.0.blocks.0.conv1.conv.weight": torch.zeros(1),
        "decoder.stages.0.convs.0.conv.weight": torch.zeros(1),
    }
    given = {"network_weights": state, "nnssl_adaptation_plan": plan("NoSkipResEncL")}
    found = read_nnssl(given, Path("a.pth"))
    assert (found.backbone, found.part) == (ResEncUNetConfig(), "encoder")
    assert list(found.weights) == ["encoder.stages.0.blocks.0.conv1.all_modules.0.weight"]
    given["nnssl_adaptation_plan"] = plan("ResEncL")
    assert read_nnssl(given, Path("a.pth")).part == "backbone"


def test_an_encoder_that_stood_alone_is_found_where_the_plan_says() -> None:
    names = ("stages.0.blocks.0.conv1.conv.weight", "stem.convs.0.conv.bias")
    given = {
        "network_weights": {name: torch.zeros(1) for name in names},
        "nnssl_adaptation_plan": plan("ResEncL", key_to_encoder="stages", key_to_stem="stem"),
    }
    found = read_nnssl(given, Path("a.pth"))
    assert found.part == "encoder"
    assert sorted(found.weights) == [
        "encoder.stages.0.blocks.0.conv1.all_modules.0.weight",
        "encoder.stem.convs.0.all_modules.0.bias",
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nnssl_adaptation_plan": None}, "found no nnssl_adaptation_plan that can be read"),
        ({"nnssl_adaptation_plan": {}}, r"can be read \(KeyError\('pretrain_plan'"),
        ({"nnssl_adaptation_plan": plan("PrimusM")}, "found the network PrimusM; expected ResEncL"),
        (
            {"nnssl_adaptation_plan": plan(key_to_encoder="encoder.layers")},
            r"found no tensor at encoder\.layers",
        ),
        ({"network_weights": {}}, r"found no tensor at encoder\.stages among 0"),
    ],
)
def test_what_cannot_be_read_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SelfscanError, match=message) as error:
        read_nnssl(content(**changes), Path("a.pth"))
    assert "a.pth" in str(error.value)
