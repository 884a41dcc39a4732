"""Published methods by the name they have on the command line."""

from __future__ import annotations

from selfscan.methods.autoencoder import AutoencoderConfig
from selfscan.methods.gvsl import GVSLConfig
from selfscan.methods.method import MethodConfig
from selfscan.methods.models_genesis import ModelsGenesisConfig
from selfscan.methods.swin_unetr import SwinUNETRPretrainingConfig
from selfscan.methods.transvw import TransVWConfig
from selfscan.methods.vox2vec import Vox2VecConfig

METHODS: dict[str, type[MethodConfig]] = {
    config.name: config
    for config in (
        ModelsGenesisConfig,
        TransVWConfig,
        Vox2VecConfig,
        GVSLConfig,
        SwinUNETRPretrainingConfig,
        AutoencoderConfig,
    )
}


def method_config(name: str) -> MethodConfig:
    """The configuration of a method, `models-genesis`, or of a preset, `models-genesis:paper`.

    Raises:
        ValueError: There is no such method or preset.
    """
    method, _, preset = name.partition(":")
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    chosen = METHODS[method]
    if not preset:
        return chosen()
    if preset not in chosen.presets:
        known = ", ".join(chosen.presets) or "none"
        raise ValueError(f"presets of {method} are {known}, got {preset!r}")
    config: MethodConfig = getattr(chosen, preset)()
    return config
