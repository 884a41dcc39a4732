"""nnU-Net's networks: the library's own outputs, each weight once, sizes that can be built."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from selfscan.errors import SelfscanError
from selfscan.methods import METHODS
from selfscan.networks import BACKBONES, backbone_config
from selfscan.networks.nnunet import NNUNetConfig
from selfscan.networks.plain_unet import PlainUNetConfig
from selfscan.networks.resenc_unet import ResEncUNetConfig

SIZES = {
    "features": (4, 6, 8),
    "strides": ((1, 1, 1), (2, 2, 1), (2, 2, 2)),
    "kernel_sizes": ((3, 3, 1), (3, 3, 3), (3, 3, 3)),
    "decoder_convolutions": (2, 1),
}
RESENC = ResEncUNetConfig(**SIZES, blocks=(1, 2, 1))  # type: ignore[arg-type]
PLAIN = PlainUNetConfig(**SIZES, convolutions=(2, 1, 2), bias=False)  # type: ignore[arg-type]

pytest.importorskip("dynamic_network_architectures", reason="the extra nnunet is not installed")


def randomized(config: NNUNetConfig, seed: int = 0) -> tuple[torch.nn.Module, torch.nn.Module]:
    """The library's network and ours with the same random weights, those of norms too."""
    torch.manual_seed(seed)
    theirs = config.library_network(2, classes=3)
    for weight in theirs.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    ours = config.build(2)
    named = theirs.state_dict()
    ours.load_state_dict({name: named[name] for name in ours.state_dict()})
    return theirs.eval(), ours.eval()


@pytest.mark.parametrize("config", [RESENC, PLAIN])
def test_outputs_are_those_of_the_library(config: NNUNetConfig) -> None:
    theirs, ours = randomized(config)
    volumes = torch.rand(2, 2, 8, 16, 6)
    with torch.no_grad():
        features = ours(volumes)
        skips: list[Tensor] = theirs.encoder(volumes)
        logits = theirs.decoder.seg_layers[-1](features.decoder[0])
        assert torch.equal(logits, theirs(volumes))
    assert all(torch.equal(a, b) for a, b in zip(features.encoder, skips, strict=True))
    for level, (channels, stride) in enumerate(
        zip(ours.encoder_pyramid.channels, ours.encoder_pyramid.strides, strict=True)
    ):
        size = tuple(n // s for n, s in zip((8, 16, 6), stride, strict=True))
        assert features.encoder[level].shape == features.decoder[level].shape
        assert features.encoder[level].shape == (2, channels, *size)
    assert ours.divisor == (4, 4, 2)


@pytest.mark.parametrize("config", [RESENC, PLAIN])
def test_each_weight_has_one_name_and_the_encoder_its_own(config: NNUNetConfig) -> None:
    theirs, ours = randomized(config)
    places = [weight.data_ptr() for weight in ours.state_dict().values()]
    assert len(set(places)) == len(places)
    named = {id(weight) for weight in theirs.parameters()}
    heads = sum(1 for name, _ in theirs.named_parameters() if "seg_layers" in name)
    assert len(ours.state_dict()) == len(named) - heads
    gradients = torch.autograd.grad(
        sum(level.square().sum() for level in ours.encode(torch.rand(1, 2, 8, 8, 4))),
        ours.encoder_parameters(),
        allow_unused=True,
    )
    assert all(gradient is not None for gradient in gradients)
    count = sum(weight.numel() for weight in ours.encoder_parameters())
    assert count == sum(w.numel() for n, w in ours.state_dict().items() if n.startswith("encoder."))


def test_sizes_have_names() -> None:
    assert backbone_config("resenc-l") == ResEncUNetConfig() == backbone_config("resenc-unet:l")
    assert backbone_config("resenc-m").features == (16, 32, 64, 128, 160, 160)
    assert backbone_config("resenc-s").features == (8, 16, 32, 64, 80, 80)
    with pytest.raises(ValueError, match=r"presets of resenc-unet are s, m, l, got 'x'"):
        backbone_config("resenc-unet:x")
    with pytest.raises(ValueError, match="presets of unet3d are none"):
        backbone_config("unet3d:l")
    with pytest.raises(ValueError, match=r"backbone must be one of unet3d, .*, got 'resnet'"):
        backbone_config("resnet")
    assert all(backbone_config(name) == kind() for name, kind in BACKBONES.items())


@pytest.mark.slow
def test_the_large_size_has_as_many_parameters_as_published() -> None:
    with torch.device("meta"):
        network = ResEncUNetConfig().library_network(1)
    assert round(sum(weight.numel() for weight in network.parameters()) / 1e6) == 102


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": (4,)}, "features must be two numbers"),
        ({"strides": ((1, 1, 1), (2, 2, 2))}, "strides must be 3 triples"),
        ({"kernel_sizes": ((3, 3, 3), (3, 2, 3), (3, 3, 3))}, "kernel_sizes must be 3 triples of"),
        ({"blocks": (1, 2)}, "blocks must be 3 numbers"),
        ({"decoder_convolutions": (1, 0)}, "decoder_convolutions must be 2 numbers"),
    ],
)
def test_what_cannot_be_built_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(RESENC, **changes)  # type: ignore[arg-type]


def test_sizes_that_do_not_fit_are_refused() -> None:
    network = RESENC.build(1)
    with pytest.raises(ValueError, match="must be divisible by"):
        network.check_size((8, 8, 3))
    with pytest.raises(ValueError, match=r"more than \(4, 4, 2\) along one axis"):
        network.check_size((4, 4, 2))
    with pytest.raises(ValueError, match="in_channels must be at least 1"):
        RESENC.build(0)


def test_without_the_library_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dynamic_network_architectures.architectures.unet", None)
    with pytest.raises(SelfscanError, match=r"to build plain-unet.*--no-deps"):
        PLAIN.build(1)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_trains_on_it(name: str) -> None:
    method = METHODS[name]().build(RESENC.build(1))
    assert method.backbone.encoder_pyramid.channels == (4, 6, 8)
