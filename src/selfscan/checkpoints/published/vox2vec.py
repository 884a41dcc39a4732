"""vox2vec as released: `vox2vec_contrastive.pt`, and what its trainer writes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from selfscan.checkpoints.foreign import tensors_in
from selfscan.checkpoints.published.layout import Published, require_tensor, without_prefix
from selfscan.methods.vox2vec import Vox2VecConfig
from selfscan.networks.fpn3d import FPN3DConfig
from selfscan.scans.contract import PreprocessingContract

LICENSE = "The authors' code is MIT-licensed, and their weights lie beside it; no patent is known."


def read_vox2vec(content: Mapping[str, Any], path: Path) -> Published:
    """The feature pyramid, 340 tensors, batch norms with their statistics; heads are dropped.

    Raises:
        SelfscanError: The file is of another network.
    """
    tensors, notes = without_prefix(tensors_in(content), "module.backbone.", "module.", "backbone.")
    stem = require_tensor(tensors, "first_conv.weight", of="the network of vox2vec", path=path)
    coarsest = len({n.split(".")[1] for n in tensors if n.startswith("left_blocks.")})
    weights: dict[str, Tensor] = {}
    dropped: dict[str, str] = {}
    for name, tensor in tensors.items():
        if ours := _our_name(name, coarsest):
            weights[ours] = tensor
        else:
            dropped[name] = "a head, not part of the backbone"
    method = Vox2VecConfig.published()
    return Published(
        backbone=FPN3DConfig(
            channels=len(stem),
            levels=coarsest + 1,
            blocks=tuple(
                len({n.split(".")[2] for n in weights if n.startswith(f"down.{level}.")}) or 1
                for level in range(coarsest + 1)
            ),
        ),
        weights=weights,
        contract=PreprocessingContract(spacing=(1.0, 1.0, 2.0)),
        window_hu=method.window_hu,
        crop_size=method.crop_size,
        license_note=LICENSE,
        method=method,
        dropped=dropped,
        notes=notes,
    )


def _our_name(name: str, coarsest: int) -> str | None:
    """Ours count all levels fine to coarse; theirs going up coarse to fine."""
    part, _, rest = name.partition(".")
    if part == "first_conv":
        return f"stem.{rest}"
    if part == "bottom_block":
        return f"down.{coarsest}.{_in_stage(rest)}"
    if found := re.fullmatch(r"(\d+)\.(.+)", rest):
        level, inner = int(found[1]), found[2]
        mirrored = coarsest - 1 - level
        places = {
            "left_blocks": f"down.{level}.{_in_stage(inner)}",
            "down_blocks": f"widen.{level}.{inner.removeprefix('1.')}",
            "up_blocks": f"narrow.{mirrored}.{inner.removeprefix('0.')}",
            "skip_blocks": f"skip.{mirrored}.{inner}",
            "right_blocks": f"up.{mirrored}.{_in_stage(inner)}",
        }
        return places.get(part)
    return None


def _in_stage(name: str) -> str:
    return name.removeprefix("layers.")
