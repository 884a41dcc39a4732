"""Models Genesis as released: `Genesis_Chest_CT.pt`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from selfscan.checkpoints.foreign import tensors_in
from selfscan.checkpoints.published.layout import Published, require_tensor, without_prefix
from selfscan.methods.models_genesis import ModelsGenesisConfig
from selfscan.networks.unet3d import UNet3DConfig
from selfscan.scans.contract import PreprocessingContract

LICENSE = (
    "These weights are the authors' release, for non-commercial research only (Arizona State "
    "University), and US patent 11,922,628 is on the method: ask before any other use."
)
_LEVELS = {"64": 0, "128": 1, "256": 2, "512": 3}
_LAYERS = {"conv1": 0, "bn1": 1}
_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


def read_models_genesis(content: Mapping[str, Any], path: Path) -> Published:
    """The 3D U-Net of the PyTorch release, 106 tensors, 64 of them of use.

    Its norms keep running statistics and use those of the batch at hand, so the former are dropped.

    Raises:
        SelfscanError: The file is of another network.
    """
    tensors, notes = without_prefix(tensors_in(content), "module.")
    stem = require_tensor(
        tensors,
        "down_tr64.ops.0.conv1.weight",
        of="the U-Net of Models Genesis, as in Genesis_Chest_CT.pt",
        path=path,
    )
    method = ModelsGenesisConfig.release()
    weights, dropped = unet_weights(tensors)
    return Published(
        backbone=UNet3DConfig(width=len(stem)),
        weights=weights,
        contract=PreprocessingContract(),
        window_hu=method.window_hu,
        crop_size=method.crop_size,
        license_note=LICENSE,
        method=method,
        dropped=dropped,
        notes=(*notes, "trained on scans at their own spacing, x to the left and y to the back"),
    )


def unet_weights(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The U-Net's tensors by our names, and why others are left out."""
    weights: dict[str, Tensor] = {}
    dropped: dict[str, str] = {}
    for name, tensor in tensors.items():
        ours = _our_name(name)
        if name.endswith(_BUFFERS) and name.startswith(("down_tr", "up_tr")):
            dropped[name] = "running statistics, which the network never used"
        elif ours is None:
            dropped[name] = "a head, not part of the backbone"
        else:
            weights[ours] = tensor
    return weights, dropped


def _our_name(name: str) -> str | None:
    if found := re.fullmatch(r"(down|up)_tr(\d+)\.ops\.(\d)\.(conv1|bn1)\.(\w+)", name):
        way, width, block, layer, kind = found.groups()
        if width in _LEVELS:
            stage = "down" if way == "down" else "merges"
            return f"{stage}.{_LEVELS[width]}.{block}.{_LAYERS[layer]}.{kind}"
    if found := re.fullmatch(r"up_tr(64|128|256)\.up_conv\.(\w+)", name):
        return f"ups.{_LEVELS[found[1]]}.{found[2]}"
    return None
