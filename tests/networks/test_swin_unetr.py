"""Swin UNETR: published sizes, parity numbers, equality to MONAI, the promises of a backbone."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from monai.networks import nets
from released_swin_unetr import fill_with_sines, wave
from torch import Tensor, nn

from selfscan.networks.swin_unetr import PatchMerging, SwinUNETR, SwinUNETRConfig


def count(parameters: list[nn.Parameter]) -> int:
    return sum(parameter.numel() for parameter in parameters)


# The published numbers are of networks with a last layer for 14 classes, which ours lack.
@pytest.mark.parametrize(
    ("feature_size", "published"),
    [
        (12, 4_078_220),
        (24, 15_703_304),
        pytest.param(48, 62_187_296, marks=pytest.mark.slow),
    ],
)
def test_published_sizes(feature_size: int, published: int) -> None:
    network = SwinUNETRConfig(feature_size=feature_size).build(1)
    assert count(list(network.parameters())) == published - 14 * (feature_size + 1)
    if feature_size == 48:
        assert count(network.encoder_parameters()) == 8_062_002


@pytest.mark.slow
@pytest.mark.parametrize(
    ("patch_merging", "first", "means"),
    [
        (
            "fixed",
            (-1.100134, 0.865918, 1.135003),
            (0.898487, 0.899997, 0.898282, 0.871822, 0.900151),
        ),
        (
            "legacy",
            (-0.834487, -1.154056, 0.793055),
            (0.898487, 0.900588, 0.901002, 0.883902, 0.899824),
        ),
    ],
)
def test_features_agree_with_the_official_network(
    patch_merging: PatchMerging, first: tuple[float, ...], means: tuple[float, ...]
) -> None:
    network = SwinUNETR(patch_merging=patch_merging).eval()
    fill_with_sines(network)
    with torch.no_grad():
        levels = network.encode(wave())
    found = [level.abs().mean(dtype=torch.float64).item() for level in levels]
    assert found == pytest.approx(means, abs=2e-5)
    tokens = levels[-1].double().flatten(2)[0].T
    assert tokens[0, :3].tolist() == pytest.approx(first, abs=2e-5)
    assert tokens.shape == (8, 768)
    assert tokens.mean(1).abs().max() < 1e-6
    # The epsilon of the layer norm takes a little, more where tokens were small before it.
    assert tokens.var(1, correction=0).min() >= (0.9996 if patch_merging == "fixed" else 0.999)
    assert tokens.norm(dim=1).tolist() == pytest.approx([768**0.5] * 8, abs=0.015)


@pytest.mark.slow
@pytest.mark.parametrize("patch_merging", ["fixed", "legacy"])
def test_the_finest_level_is_what_monai_computes_before_its_last_layer(
    patch_merging: PatchMerging,
) -> None:
    torch.manual_seed(0)
    ours = SwinUNETR(2, feature_size=12, patch_merging=patch_merging).eval()
    plain = nets.SwinUNETR(in_channels=2, out_channels=3, feature_size=12).eval()
    own = [name for name in plain.state_dict() if not name.startswith("out.")]
    assert list(ours.state_dict()) == own
    ours.load_state_dict({name: plain.state_dict()[name] for name in own})
    volumes = torch.rand(1, 2, 64, 32, 32)
    with torch.no_grad():
        logits = plain.out(ours(volumes).decoder[0])
        equal = torch.equal(logits, plain(volumes))
    assert equal == (patch_merging == "fixed")


def test_levels_have_the_promised_channels_and_strides() -> None:
    network = SwinUNETR(2, feature_size=12, depths=(1, 1, 1, 1), window_size=4)
    features = network(torch.rand(1, 2, 64, 32, 96))
    assert network.encoder_pyramid.channels == (12, 24, 48, 96, 192)
    assert network.decoder_pyramid.channels == (12, 12, 24, 48, 96, 192)
    for pyramid, levels in (
        (network.encoder_pyramid, features.encoder),
        (network.decoder_pyramid, features.decoder),
    ):
        for level, channels, stride in zip(levels, pyramid.channels, pyramid.strides, strict=True):
            assert level.shape == (1, channels, 64 // stride[0], 32 // stride[1], 96 // stride[2])
    assert network.encoder_pyramid.strides[0] == (2, 2, 2)
    assert network.decoder_pyramid.strides[0] == (1, 1, 1)


def test_encoding_alone_uses_the_encoder_parameters_only() -> None:
    torch.manual_seed(0)
    network = SwinUNETR(feature_size=12, depths=(1, 1, 1, 1))
    volumes = torch.rand(1, 1, 32, 64, 32)
    levels = network.encode(volumes)
    for alone, whole in zip(levels, network(volumes).encoder, strict=True):
        assert torch.equal(alone, whole)
    # A plain sum of normalized maps has no gradient.
    torch.autograd.backward([level.pow(3).sum() for level in levels])
    reached = {id(p) for p in network.parameters() if p.grad is not None}
    assert reached == {id(p) for p in network.encoder_parameters()}
    assert all(p.grad.any() for p in network.encoder_parameters() if p.grad is not None)


@pytest.mark.slow
def test_gradient_checkpointing_changes_no_gradient() -> None:
    torch.manual_seed(0)
    config = SwinUNETRConfig(feature_size=12, depths=(1, 2, 1, 1), window_size=4)
    kept, again = config.build(1), replace(config, gradient_checkpointing=True).build(1)
    again.load_state_dict(kept.state_dict())
    volumes = torch.rand(1, 1, 64, 32, 32)
    held = []
    for network in (kept, again):
        sizes: list[int] = []

        def hold(tensor: Tensor, sizes: list[int] = sizes) -> Tensor:
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(hold, lambda tensor: tensor):
            loss = sum(level.pow(3).mean() for level in network.encode(volumes))
        held.append(sum(sizes))
        loss.backward()
    assert held[1] < held[0] / 2
    for one, other in zip(kept.encoder_parameters(), again.encoder_parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 1, 48, 64, 64), r"divisible by \(32, 32, 32\) for SwinUNETR, got \(48, 64, 64\)"),
        ((1, 1, 32, 32, 32), r"along one axis at least for SwinUNETR, got \(32, 32, 32\)"),
        ((1, 2, 64, 64, 64), r"shape \(B, 1, X, Y, Z\), got \(1, 2, 64, 64, 64\)"),
    ],
)
def test_volumes_of_a_wrong_shape_are_refused(shape: tuple[int, ...], message: str) -> None:
    network = SwinUNETR(feature_size=12, depths=(1, 1, 1, 1))
    with pytest.raises(ValueError, match=message):
        network(torch.zeros(shape))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"feature_size": 20}, "feature_size must be a positive multiple of 12, got 20"),
        ({"feature_size": 0}, "feature_size must be a positive multiple of 12, got 0"),
        ({"depths": (2, 2, 2)}, r"depths must be 4 numbers of at least 1, got \(2, 2, 2\)"),
        ({"heads": (0, 1, 1, 1)}, r"heads must be 4 numbers of at least 1, got \(0, 1, 1, 1\)"),
        ({"heads": (3, 6, 12, 25)}, r"of their stages, \(48, 96, 192, 384\), got \(3, 6, 12, 25\)"),
        ({"window_size": 1}, "window_size must be at least 2, got 1"),
        ({"patch_merging": "v2"}, "patch_merging must be one of fixed, legacy, got 'v2'"),
    ],
)
def test_arguments_without_a_meaning_are_refused(
    arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        SwinUNETRConfig(**arguments)  # type: ignore[arg-type]


def test_a_network_needs_channels() -> None:
    with pytest.raises(ValueError, match="in_channels must be at least 1, got 0"):
        SwinUNETR(0)


@pytest.mark.slow
def test_naming_the_backbones_does_not_import_monai() -> None:
    program = "import sys, selfscan.networks; sys.exit('monai' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
