"""Models Genesis as released: `Genesis_Chest_CT.pt`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from selfscan.checkpoints.foreign import tensors_in
from selfscan.checkpoints.published.layout import Published, require_tensor
from selfscan.checkpoints.unet3d import our_name
from selfscan.methods.method import MethodConfig
from selfscan.methods.models_genesis import ModelsGenesisConfig
from selfscan.networks.unet3d import UNet3DConfig
from selfscan.scans.contract import PreprocessingContract

LICENSE = (
    "These weights are the authors' release, for non-commercial research only (Arizona State "
    "University), and US patent 11,922,628 is on the method: ask before any other use."
)
_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
_STEM = "down.0.0.0.weight"
_PARTS = ("down.", "ups.", "merges.")


def read_models_genesis(content: Mapping[str, Any], path: Path) -> Published:
    """The 3D U-Net of the PyTorch release, 106 tensors, 62 of them of use.

    Raises:
        SelfscanError: The file is of another network.
    """
    of = "the U-Net of Models Genesis, as in Genesis_Chest_CT.pt"
    return read_unet(content, path, method=ModelsGenesisConfig.release(), license=LICENSE, of=of)


def read_unet(
    content: Mapping[str, Any], path: Path, *, method: MethodConfig, license: str, of: str
) -> Published:
    """The 3D U-Net that Models Genesis, Semantic Genesis and TransVW have in common.

    Its norms keep running statistics and use those of the batch at hand, so the former are dropped.

    Args:
        content: What the file holds.
        path: For errors.
        method: What trained it.
        license: What is known of the license of the weights.
        of: What is expected, in words.

    Raises:
        SelfscanError: The file is of another network.
    """
    given = tensors_in(content)
    decorated = sum(re.match(r"(module|classficationNet)\.", name) is not None for name in given)
    tensors = {our_name(name): tensor for name, tensor in given.items()}
    if _STEM not in tensors:
        require_tensor(given, "down_tr64.ops.0.conv1.weight", of=of, path=path)
    weights: dict[str, Tensor] = {}
    dropped: dict[str, str] = {}
    for name, tensor in tensors.items():
        if not name.startswith(_PARTS):
            dropped[name] = "a head, not part of the backbone"
        elif name.endswith(_BUFFERS):
            dropped[name] = "running statistics, which the network never used"
        else:
            weights[name] = tensor
    notes = ["trained on scans at their own spacing, x to the left and y to the back"]
    if decorated:
        notes.append(f"prefix module. or classficationNet. stripped from {decorated} names")
    return Published(
        backbone=UNet3DConfig(width=len(tensors[_STEM])),
        weights=weights,
        contract=PreprocessingContract(),
        window_hu=method.window_hu,
        crop_size=method.input_size,
        license_note=license,
        method=method,
        part="backbone" if any(name.startswith("ups.") for name in weights) else "encoder",
        dropped=dropped,
        notes=tuple(notes),
    )
