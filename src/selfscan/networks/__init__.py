"""Backbones by the name they have on the command line, and heads."""

from __future__ import annotations

from pathlib import Path

from selfscan.networks.backbone import BackboneConfig
from selfscan.networks.fpn3d import FPN3DConfig
from selfscan.networks.gvsl_unet import GVSLUNetConfig
from selfscan.networks.plain_unet import PlainUNetConfig
from selfscan.networks.plans import backbone_from_plans
from selfscan.networks.resenc_unet import ResEncUNetConfig
from selfscan.networks.swin_unetr import SwinUNETRConfig
from selfscan.networks.unet3d import UNet3DConfig

BACKBONES: dict[str, type[BackboneConfig]] = {
    config.name: config
    for config in (
        UNet3DConfig,
        FPN3DConfig,
        GVSLUNetConfig,
        SwinUNETRConfig,
        ResEncUNetConfig,
        PlainUNetConfig,
    )
}
SIZES = {f"resenc-{size}": f"resenc-unet:{size}" for size in ResEncUNetConfig.presets}


def backbone_config(name: str) -> BackboneConfig:
    """The configuration of a backbone by name, size, or nnU-Net's plans.

    Args:
        name: `unet3d`; `resenc-l`, the size of a backbone; or `nnUNetPlans.json`, a file of plans,
            whose configuration `3d_fullres` is taken, or the one named as in
            `nnUNetPlans.json:3d_lowres`.

    Raises:
        ValueError: There is no such backbone or size.
        SelfscanError: The plans cannot be read.
    """
    backbone, _, preset = SIZES.get(name, name).partition(":")
    if backbone.endswith(".json"):
        return backbone_from_plans(Path(backbone), configuration=preset or "3d_fullres")
    if backbone not in BACKBONES:
        raise ValueError(
            f"backbone must be one of {', '.join([*BACKBONES, *SIZES])}, or plans of nnU-Net, "
            f"got {name!r}"
        )
    chosen = BACKBONES[backbone]
    if not preset:
        return chosen()
    if preset not in chosen.presets:
        raise ValueError(
            f"presets of {backbone} are {', '.join(chosen.presets) or 'none'}, got {preset!r}"
        )
    config: BackboneConfig = getattr(chosen, preset)()
    return config
