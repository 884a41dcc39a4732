"""A run of GVSL that learned nothing: at the identity, or with a random warp."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from selfscan.checkpoints.checkpoint import Checkpoint, save
from selfscan.methods.gvsl import GVSLConfig
from selfscan.networks.gvsl_unet import GVSLUNetConfig
from selfscan.scans.contract import PreprocessingContract

SMALL = GVSLConfig(crop_size=(32, 16, 16))
RANDOM = replace(SMALL, from_identity=False)


def write_run(
    folder: Path,
    config: GVSLConfig = SMALL,
    *,
    channels: int = 1,
    contract: PreprocessingContract | None = None,
) -> Path:
    torch.manual_seed(1)
    backbone = GVSLUNetConfig(width=2)
    checkpoint = Checkpoint(
        weights=config.build(backbone.build(channels)).state_dict(),
        backbone=backbone,
        in_channels=channels,
        task="pretraining",
        contract=contract or PreprocessingContract(),
        window_hu=config.window_hu,
        crop_size=config.crop_size,
        method=config,
        scans=6,
        steps=11,
    )
    folder.mkdir(parents=True, exist_ok=True)
    save(checkpoint, folder / "best.safetensors")
    return folder
