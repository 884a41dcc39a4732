"""Models Genesis for nnU-Net v1, as released: `genesis_nnunet_luna16_006.model`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from selfscan.checkpoints.foreign import tensors_in
from selfscan.checkpoints.published.layout import Published, require_tensor, without_prefix
from selfscan.checkpoints.published.models_genesis import LICENSE
from selfscan.methods.models_genesis import ModelsGenesisConfig
from selfscan.networks.backbone import Stride
from selfscan.networks.plain_unet import PlainUNetConfig
from selfscan.scans.contract import PreprocessingContract

_MEAN_HU, _DEVIATION_HU = -775.8457, 251.9326
_LAYERS = {"conv": 0, "instnorm": 1}
_LAYER = r"\.(conv|instnorm)\.(\w+)"
_PLACES = (
    (r"conv_blocks_context\.(\d)\.blocks\.(\d)", "encoder.stages.{}.0"),
    (r"conv_blocks_context\.(\d)\.(\d)\.blocks\.0", "encoder.stages.{}.0"),  # the coarsest
    (r"conv_blocks_localization\.(\d)\.(\d)\.blocks\.0", "decoder.stages.{}"),
)
_STEM = "encoder.stages.0.0.convs.0.all_modules.0"


def read_genesis_nnunet(content: Mapping[str, Any], path: Path) -> Published:
    """The plain U-Net of nnU-Net v1, 98 tensors, trained on crops (X, Y, Z).

    It saw Hounsfield units less a mean, over a deviation. Here a network sees a window as [0, 1],
    so the first convolution takes over that step: equal but where padding reaches, as a padded 0
    now is the low end of the window. Its transposed convolutions have no bias; ours get zeros.

    Raises:
        SelfscanError: The file is of another network.
    """
    tensors, notes = without_prefix(tensors_in(content), "module.")
    method = ModelsGenesisConfig.release()
    first = "conv_blocks_context.0.blocks.0.conv.weight"
    of = "the U-Net of nnU-Net v1, as in genesis_nnunet_luna16_006.model"
    require_tensor(tensors, first, of=of, path=path)
    weights: dict[str, Tensor] = {}
    dropped: dict[str, str] = {}
    adapted: dict[str, str] = {}
    for name, tensor in tensors.items():
        if ours := _our_name(name):
            weights[ours] = tensor
        else:
            dropped[name] = "an output layer, not part of the backbone"
    ups = [f"decoder.transpconvs.{step}.weight" for step in range(5)]
    for name in (*ups, f"{_STEM}.bias"):
        require_tensor(weights, name, of=of, path=path)
    for up in ups:
        absent = up.removesuffix("weight") + "bias"
        weights[absent] = weights[up].new_zeros(weights[up].shape[1])
        adapted[absent] = "the file has none; zeros"
    low, high = method.window_hu
    stem, bias = weights[f"{_STEM}.weight"], weights[f"{_STEM}.bias"]
    weights[f"{_STEM}.weight"] = stem * (high - low) / _DEVIATION_HU
    weights[f"{_STEM}.bias"] = bias + (low - _MEAN_HU) / _DEVIATION_HU * stem.sum((1, 2, 3, 4))
    for kind in ("weight", "bias"):
        adapted[f"{_STEM}.{kind}"] = f"takes [0, 1] for (HU + {-_MEAN_HU}) / {_DEVIATION_HU}"
    return Published(
        backbone=_config_of(weights, ups),
        weights=weights,
        contract=PreprocessingContract(),
        window_hu=method.window_hu,
        crop_size=method.crop_size,
        license_note=LICENSE,
        method=method,
        adapted=adapted,
        dropped=dropped,
        notes=notes,
    )


def _our_name(name: str) -> str | None:
    for place, stage in _PLACES:
        if found := re.fullmatch(place + _LAYER, name):
            level, block, layer, kind = found.groups()
            return f"{stage.format(level)}.convs.{block}.all_modules.{_LAYERS[layer]}.{kind}"
    if found := re.fullmatch(r"tu\.(\d)\.weight", name):
        return f"decoder.transpconvs.{found[1]}.weight"
    return None


def _config_of(weights: Mapping[str, Tensor], ups: list[str]) -> PlainUNetConfig:
    """The arguments that give these tensors their shapes, levels fine to coarse."""
    fine = [weights[up].shape[1] for up in reversed(ups)]
    strides: list[Stride] = [(1, 1, 1)]
    for up in reversed(ups):
        x, y, z = weights[up].shape[2:]
        strides.append((x, y, z))
    return PlainUNetConfig(
        features=(*fine, weights[ups[0]].shape[0]), strides=tuple(strides), bias=True
    )
