"""Backbones by the name they have on the command line, and heads."""

from __future__ import annotations

from selfscan.networks.backbone import BackboneConfig
from selfscan.networks.fpn3d import FPN3DConfig
from selfscan.networks.gvsl_unet import GVSLUNetConfig
from selfscan.networks.swin_unetr import SwinUNETRConfig
from selfscan.networks.unet3d import UNet3DConfig

BACKBONES: dict[str, type[BackboneConfig]] = {
    config.name: config for config in (UNet3DConfig, FPN3DConfig, GVSLUNetConfig, SwinUNETRConfig)
}
