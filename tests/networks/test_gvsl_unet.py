"""The U-Net of GVSL: sizes, what it refuses, recomputation."""

from __future__ import annotations

import pytest
import torch

from selfscan.networks.gvsl_unet import GVSLUNet, GVSLUNetConfig


def test_published_size() -> None:
    with torch.device("meta"):
        network = GVSLUNet()
    assert len(list(network.parameters())) == 72
    assert sum(p.numel() for p in network.parameters()) == 23_538_144
    assert sum(p.numel() for p in network.encoder_parameters()) == 14_134_944
    assert network.encoder_pyramid.channels == (32, 64, 128, 256, 512)
    assert network.divisor == (16, 16, 16)


def test_features_have_the_promised_sizes() -> None:
    network = GVSLUNet(2, width=4)
    features = network(torch.rand(1, 2, 32, 16, 48))
    for levels, pyramid in (
        (features.encoder, network.encoder_pyramid),
        (features.decoder, network.decoder_pyramid),
    ):
        for level, channels, stride in zip(levels, pyramid.channels, pyramid.strides, strict=True):
            size = [n // s for n, s in zip((32, 16, 48), stride, strict=True)]
            assert level.shape == (1, channels, *size)
    encoded = network.encode(torch.rand(1, 2, 32, 16, 48))
    assert [level.shape for level in encoded] == [level.shape for level in features.encoder]


def test_volumes_of_a_batch_do_not_mix() -> None:
    torch.manual_seed(0)
    network, volumes = GVSLUNet(width=4), torch.rand(2, 1, 16, 16, 16)
    together = network(volumes).decoder[0]
    torch.testing.assert_close(together[1:], network(volumes[1:]).decoder[0])
    assert not network.mixes_batch


def test_recomputation_changes_no_gradient() -> None:
    torch.manual_seed(0)
    kept, recomputed = GVSLUNet(width=2), GVSLUNet(width=2, gradient_checkpointing=True)
    recomputed.load_state_dict(kept.state_dict())
    volumes = torch.rand(1, 1, 16, 16, 16)
    for network in (kept, recomputed):
        torch.autograd.backward(network(volumes).decoder[0].square().mean())
    for one, other in zip(kept.parameters(), recomputed.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_published_initialization() -> None:
    torch.manual_seed(0)
    weight = GVSLUNet().down[3][0].weight
    assert weight.std().item() == pytest.approx((2 / (128 * 27)) ** 0.5, rel=0.01)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"divisible by \(16, 16, 16\) for GVSLUNet"):
        GVSLUNet(width=2)(torch.rand(1, 1, 16, 16, 20))
    with pytest.raises(ValueError, match="in_channels must be at least 1, got 0"):
        GVSLUNet(0)
    with pytest.raises(ValueError, match="width must be at least 1, got 0"):
        GVSLUNetConfig(width=0)
    assert GVSLUNetConfig(width=3).build(2).in_channels == 2
