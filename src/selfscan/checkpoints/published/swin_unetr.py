"""Swin UNETR as released: `model_swinvit.pt`, and what its scripts write, then and now."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfscan.checkpoints.foreign import tensors_in
from selfscan.checkpoints.published.layout import Published
from selfscan.checkpoints.swin_unetr import ENCODER, swin_encoder_in
from selfscan.methods.swin_unetr import SwinUNETRPretrainingConfig
from selfscan.networks.swin_unetr import PatchMerging
from selfscan.scans.contract import PreprocessingContract

LICENSE = "The authors' code is licensed under Apache-2.0; no patent is known to us."


def read_swin_unetr(
    content: Mapping[str, Any], path: Path, *, patch_merging: PatchMerging | None = None
) -> Published:
    """The encoder, 126 tensors by default depths; decoder and heads are dropped.

    Args:
        content: What the file holds.
        path: For errors.
        patch_merging: That of the network that was trained; None is enough where names tell it.

    Raises:
        SelfscanError: The file is of another network, or does not tell how it merges patches.
    """
    given = tensors_in(content)
    config, named = swin_encoder_in(given, path, patch_merging=patch_merging)
    method = SwinUNETRPretrainingConfig.released()
    prefixed = sum(name.startswith("module.") for name in given)
    renamed = sum(name != old for old, name in zip(given, named, strict=True))
    return Published(
        backbone=config,
        weights={name: weight for name, weight in named.items() if name.startswith(ENCODER)},
        contract=PreprocessingContract(),
        window_hu=method.window_hu,
        crop_size=method.crop_size,
        license_note=LICENSE,
        method=method,
        part="encoder",
        dropped={
            name: "a head or the decoder, not part of the encoder"
            for name in named
            if not name.startswith(ENCODER)
        },
        notes=(
            f"prefix module. stripped from {prefixed} names",
            f"{renamed} names brought to those of today's MONAI",
            f"patches merged the {config.patch_merging} way, as "
            + ("given" if patch_merging else "when the names were such"),
            "trained on scans at their own spacing",
        ),
    )
