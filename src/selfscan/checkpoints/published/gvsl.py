"""GVSL as released: the U-Net, alone or within the whole model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from selfscan.checkpoints.foreign import tensors_in
from selfscan.checkpoints.published.layout import (
    AXES_TURNED,
    Published,
    require_tensor,
    turned,
    without_prefix,
)
from selfscan.methods.gvsl import GVSLConfig
from selfscan.networks.gvsl_unet import GVSLUNetConfig
from selfscan.scans.contract import PreprocessingContract

LICENSE = (
    "The authors' release has no license: ask them before any use of these weights. No patent on "
    "the method is known to us."
)
_FIRST = "inc.double_conv.0.weight"
_PREFIXES = ("unet_pre.unet.", "unet.", "")


def read_gvsl(content: Mapping[str, Any], path: Path) -> Published:
    """The 72 tensors of the U-Net, trained on arrays (Z, Y, X), so turned; heads are dropped.

    Raises:
        SelfscanError: The file is of another network.
    """
    tensors, notes = without_prefix(tensors_in(content), "module.")
    prefix = next((prefix for prefix in _PREFIXES if prefix + _FIRST in tensors), "unet.")
    stem = require_tensor(tensors, prefix + _FIRST, of="the U-Net of GVSL", path=path)
    weights: dict[str, Tensor] = {}
    dropped: dict[str, str] = {}
    for name, tensor in tensors.items():
        ours = _our_name(name.removeprefix(prefix)) if name.startswith(prefix) else None
        if ours is None:
            dropped[name] = "a head, not part of the backbone"
        else:
            weights[ours] = turned(tensor)
    if prefix:
        notes = (*notes, f"prefix {prefix} stripped from {len(weights)} names")
    method = GVSLConfig.release()
    return Published(
        backbone=GVSLUNetConfig(width=len(stem)),
        weights=weights,
        contract=PreprocessingContract(spacing=(1.0, 1.0, 1.0)),
        window_hu=method.window_hu,
        crop_size=method.crop_size,
        license_note=LICENSE,
        method=method,
        adapted={name: AXES_TURNED for name, weight in weights.items() if weight.ndim == 5},
        dropped=dropped,
        notes=(
            *notes,
            *([f"prefix {prefix} stripped from {len(weights)} names"] if prefix else []),
        ),
    )


def _our_name(name: str) -> str | None:
    if found := re.fullmatch(r"inc\.double_conv\.(\d\.\w+)", name):
        return f"down.0.{found[1]}"
    if found := re.fullmatch(r"down([1-4])\.maxpool_conv\.1\.double_conv\.(\d\.\w+)", name):
        return f"down.{found[1]}.{found[2]}"
    if found := re.fullmatch(r"up([1-4])\.conv\.double_conv\.(\d\.\w+)", name):
        return f"merges.{4 - int(found[1])}.{found[2]}"
    return None
