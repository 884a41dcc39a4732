"""Backbones by the name they have on the command line, and heads."""

from __future__ import annotations

from selfscan.networks.backbone import BackboneConfig
from selfscan.networks.unet3d import UNet3DConfig

BACKBONES: dict[str, type[BackboneConfig]] = {UNet3DConfig.name: UNet3DConfig}
