"""Plans of nnU-Net: its networks, axes turned back; other networks are named and refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from selfscan.errors import SelfscanError
from selfscan.networks import backbone_config
from selfscan.networks.plain_unet import PlainUNetConfig
from selfscan.networks.plans import backbone_from_plans
from selfscan.networks.resenc_unet import ResEncUNetConfig

LIBRARY = "dynamic_network_architectures.architectures.unet."
ARGUMENTS: dict[str, Any] = {
    "n_stages": 3,
    "features_per_stage": [32, 64, 128],
    "conv_op": "torch.nn.modules.conv.Conv3d",
    "kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
    "strides": [[1, 1, 1], [1, 2, 4], [2, 2, 2]],
    "n_blocks_per_stage": [1, 3, 4],
    "n_conv_per_stage_decoder": [1, 1],
    "conv_bias": True,
    "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
    "norm_op_kwargs": {"eps": 1e-05, "affine": True},
    "dropout_op": None,
    "dropout_op_kwargs": None,
    "nonlin": "torch.nn.LeakyReLU",
    "nonlin_kwargs": {"inplace": True},
}


def written(folder: Path, *, order: list[int], name: str, **changes: Any) -> Path:
    """Plans of a data set, as nnU-Net writes them."""
    plans = {
        "transpose_forward": order,
        "configurations": {
            "3d_fullres": {
                "architecture": {
                    "network_class_name": LIBRARY + name,
                    "arch_kwargs": {**ARGUMENTS, **changes},
                }
            },
            "3d_cascade_fullres": {"inherits_from": "3d_fullres"},
            "2d": {
                "architecture": {
                    "network_class_name": LIBRARY + name,
                    "arch_kwargs": {**ARGUMENTS, "kernel_sizes": [[3, 3]] * 3},
                }
            },
        },
    }
    path = folder / "nnUNetResEncUNetLPlans.json"
    path.write_text(json.dumps(plans))
    return path


EXPECTED = ResEncUNetConfig(
    features=(32, 64, 128),
    strides=((1, 1, 1), (4, 2, 1), (2, 2, 2)),
    kernel_sizes=((3, 3, 1), (3, 3, 3), (3, 3, 3)),
    blocks=(1, 3, 4),
    decoder_convolutions=(1, 1),
)


def test_axes_are_turned_back(tmp_path: Path) -> None:
    path = written(tmp_path, order=[0, 1, 2], name="ResidualEncoderUNet")
    assert backbone_from_plans(path) == EXPECTED
    assert backbone_config(f"{path}:3d_cascade_fullres") == EXPECTED
    # The network's first axis is the array's second, y; its second is z; its third stays x.
    path = written(tmp_path, order=[1, 0, 2], name="ResidualEncoderUNet")
    assert backbone_config(str(path)) == replace(
        EXPECTED,
        strides=((1, 1, 1), (4, 1, 2), (2, 2, 2)),
        kernel_sizes=((3, 1, 3), (3, 3, 3), (3, 3, 3)),
    )


def test_the_plain_network_counts_convolutions(tmp_path: Path) -> None:
    path = written(tmp_path, order=[0, 1, 2], name="PlainConvUNet", n_conv_per_stage=2)
    plans = json.loads(path.read_text())
    del plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]["n_blocks_per_stage"]
    path.write_text(json.dumps(plans))
    found = backbone_from_plans(path)
    assert isinstance(found, PlainUNetConfig)
    assert (found.convolutions, found.decoder_convolutions) == ((2, 2, 2), (1, 1))


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("ResidualUNet", {}, "found the network .*ResidualUNet; expected one of Resid"),
        ("ResidualEncoderUNet", {"nonlin": "torch.nn.ReLU"}, "other layers; expected leaky ReLU"),
        ("ResidualEncoderUNet", {"norm_op": "torch.nn.BatchNorm3d"}, "expected instance norm"),
        ("ResidualEncoderUNet", {"strides": [[1, 1, 1]]}, "strides must be 3 triples"),
    ],
)
def test_other_networks_are_refused(
    tmp_path: Path, name: str, changes: dict[str, Any], message: str
) -> None:
    path = written(tmp_path, order=[0, 1, 2], name=name, **changes)
    with pytest.raises(SelfscanError, match=message) as error:
        backbone_from_plans(path)
    assert str(path) in str(error.value)


def test_what_are_no_plans_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, order=[0, 1, 2], name="ResidualEncoderUNet")
    for wrong in (str(tmp_path / "absent.json"), f"{path}:3d_lowres"):
        with pytest.raises(SelfscanError, match=r"expected the plans of nnU-Net 2.4 or later"):
            backbone_config(wrong)
    with pytest.raises(SelfscanError, match="expected kernels along three axes"):
        backbone_config(f"{path}:2d")
    path.write_text('{"configurations": []}')
    with pytest.raises(SelfscanError, match="found no network of a configuration"):
        backbone_from_plans(path)
