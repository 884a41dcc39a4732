"""Small trained networks in run folders, every weight random."""

from __future__ import annotations

from pathlib import Path

import torch

from selfscan.checkpoints.checkpoint import Checkpoint, save
from selfscan.checkpoints.loading import weights_of
from selfscan.methods.models_genesis import ModelsGenesisConfig
from selfscan.networks.backbone import BackboneConfig, Part
from selfscan.networks.plain_unet import PlainUNetConfig
from selfscan.networks.resenc_unet import ResEncUNetConfig
from selfscan.networks.unet3d import UNet3DConfig
from selfscan.scans.contract import PreprocessingContract
from selfscan.training.segmentation import Segmenter

WINDOW_HU = (-100.0, 300.0)
_SIZES = {
    "features": (4, 6, 8),
    "strides": ((1, 1, 1), (2, 2, 1), (2, 2, 2)),
    "kernel_sizes": ((3, 3, 1), (3, 3, 3), (3, 3, 3)),
    "decoder_convolutions": (1, 2),
}
UNET = UNet3DConfig(width=1, norm="instance")
RESENC = ResEncUNetConfig(**_SIZES, blocks=(1, 2, 1))  # type: ignore[arg-type]
PLAIN = PlainUNetConfig(**_SIZES, convolutions=(2, 1, 1))  # type: ignore[arg-type]


def write_model(
    run: Path,
    network: BackboneConfig = UNET,
    *,
    segmentation: bool = True,
    channels: int = 1,
    spacing: tuple[float, float, float] | None = None,
    part: Part = "backbone",
) -> Path:
    """Write a run folder with one checkpoint of random weights; return it."""
    torch.manual_seed(5)
    names = {0: "background", 1: "liver", 2: "tumor"} if segmentation else {}
    backbone = network.build(channels)
    if segmentation:
        model: torch.nn.Module = Segmenter(backbone, label_names=names, window_hu=WINDOW_HU)
    else:
        model = torch.nn.Module()
        model.backbone = backbone
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim < 2:  # norms and biases, which start all alike
                weight.add_(torch.randn(weight.shape), alpha=0.2)
    made = Checkpoint(
        weights=weights_of(model, part),
        backbone=network,
        in_channels=channels,
        task="segmentation" if segmentation else "pretraining",
        contract=PreprocessingContract(spacing=spacing),
        window_hu=WINDOW_HU,
        crop_size=(16, 24, 8),
        part=part,
        method=ModelsGenesisConfig(window_hu=WINDOW_HU),
        label_names=names,
        store_digest="abcdef",
        scans=7,
        steps=20,
        license_note="Ask before any use.",
    )
    save(made, run / "best.safetensors")
    (run / "metrics.csv").write_text(
        "step,name,value\n10,validation/dice,0.3\n20,train/loss,0.1\n20,validation/dice,0.625\n"
    )
    return run
