"""Watching a backbone: the maps of its own passes, with gradients, and nothing left behind."""

from __future__ import annotations

import pytest
import torch

from selfscan.networks import BACKBONES
from selfscan.networks.backbone import BackboneConfig
from selfscan.networks.fpn3d import FPN3DConfig
from selfscan.networks.gvsl_unet import GVSLUNetConfig
from selfscan.networks.plain_unet import PlainUNetConfig
from selfscan.networks.resenc_unet import ResEncUNetConfig
from selfscan.networks.swin_unetr import SwinUNETRConfig
from selfscan.networks.unet3d import UNet3DConfig

pytest.importorskip("dynamic_network_architectures", reason="the extra nnunet is not installed")

TWO_LEVELS = {
    "features": (2, 4),
    "strides": ((1, 1, 1), (2, 2, 2)),
    "kernel_sizes": ((3, 3, 3), (3, 3, 3)),
    "decoder_convolutions": (1,),
}
SMALL = (
    UNet3DConfig(width=2, norm="instance"),
    FPN3DConfig(channels=2, levels=2, norm="instance"),
    GVSLUNetConfig(width=2),
    SwinUNETRConfig(feature_size=12, window_size=2, depths=(1, 1, 1, 1)),
    PlainUNetConfig(**TWO_LEVELS, convolutions=(1, 1)),  # type: ignore[arg-type]
    ResEncUNetConfig(**TWO_LEVELS, blocks=(1, 1)),  # type: ignore[arg-type]
)


def test_all_backbones_are_here() -> None:
    assert {config.name for config in SMALL} == set(BACKBONES)


@pytest.mark.parametrize("config", SMALL, ids=lambda config: config.name)
def test_the_coarsest_map_of_each_pass_is_seen(config: BackboneConfig) -> None:
    torch.manual_seed(0)
    backbone, volumes = config.build(1), torch.rand(1, 1, 64, 32, 32)
    with backbone.watched() as seen:
        features = backbone(volumes)
        levels = backbone.encode(volumes)
    assert [
        map is level for map, level in zip(seen, (features.encoder[-1], levels[-1]), strict=True)
    ] == [True] * 2
    assert seen[0].requires_grad
    assert torch.equal(backbone.encode(volumes)[-1], levels[-1])
    assert len(seen) == 2


def test_nothing_is_left_behind_by_an_error() -> None:
    backbone = SMALL[0].build(1)
    with pytest.raises(ValueError, match="expected volumes"), backbone.watched():
        backbone(torch.rand(1, 2, 8, 8, 8))
    assert "encode" not in vars(backbone)
