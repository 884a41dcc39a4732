"""The 3D U-Net: published sizes, parity numbers, and the promises of every backbone."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from selfscan.networks.heads import RestorationHead
from selfscan.networks.unet3d import UNet3D, UNet3DConfig


def wave(*shape: int) -> Tensor:
    """The specification's volume, 0.5 + 0.5 sin(0.1 i + 0.2 j + 0.3 k), shape (1, 1, X, Y, Z)."""
    i, j, k = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in shape), indexing="ij")
    return (0.5 + 0.5 * torch.sin(0.1 * i + 0.2 * j + 0.3 * k))[None, None]


def fill_with_sines(network: nn.Module) -> None:
    """The specification's weights: sines of the position in each convolution, norms 1, biases 0."""
    for name, weight in network.named_parameters():
        if weight.ndim == 5:
            positions = torch.arange(weight.numel(), dtype=torch.float64)
            scale = math.sqrt(2 / (weight.numel() / weight.shape[0]))
            weight.data = (torch.sin(0.37 * positions + 0.11) * scale).view_as(weight)
        else:
            weight.data.fill_(0.0 if name.endswith("bias") else 1.0)


class Restorer(nn.Module):
    """The published network as a whole."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = UNet3D()
        self.head = RestorationHead(64)

    def forward(self, volumes: Tensor) -> Tensor:
        restored: Tensor = self.head(self.backbone(volumes).decoder[0])
        return restored


@pytest.fixture(scope="module")
def published() -> Restorer:
    network = Restorer().double()
    fill_with_sines(network)
    return network


def test_the_published_network_has_the_published_size(published: Restorer) -> None:
    def count(parameters: list[nn.Parameter]) -> int:
        return sum(parameter.numel() for parameter in parameters)

    encoder = count(published.backbone.encoder_parameters())
    decoder = count(list(published.backbone.parameters())) - encoder
    assert (encoder, decoder) == (7_027_776, 12_045_824)
    assert count(list(published.parameters())) == 19_073_665
    assert len(list(published.parameters())) == 64


@pytest.mark.slow
def test_outputs_and_gradients_agree_with_the_release(published: Restorer) -> None:
    volume = wave(16, 16, 16)
    restored = published(volume)
    loss = (restored - volume).square().mean()
    weights = list(published.parameters())
    gradients = torch.autograd.grad(loss, weights)
    values = restored[0, 0].detach()
    assert values.mean().item() == pytest.approx(0.5332180140, abs=1e-6)
    assert values.std(correction=0).item() == pytest.approx(0.0448389002, abs=1e-6)
    assert values[0, 0, 0].item() == pytest.approx(0.5551093588, abs=1e-6)
    assert values[7, 8, 9].item() == pytest.approx(0.5036937586, abs=1e-6)
    assert values[15, 15, 15].item() == pytest.approx(0.5080583893, abs=1e-6)
    assert loss.item() == pytest.approx(0.1243544481, abs=1e-6)
    norm = torch.stack([gradient.square().sum() for gradient in gradients]).sum().sqrt()
    assert norm.item() == pytest.approx(14.0671709, abs=1e-6)

    with torch.no_grad():
        bottleneck = published.backbone.encode(volume)[-1]
        stepped = {
            name: weight - gradient
            for (name, weight), gradient in zip(
                published.named_parameters(), gradients, strict=True
            )
        }
        after = torch.func.functional_call(published, stepped, (volume,))
    assert bottleneck.shape == (1, 512, 2, 2, 2)
    assert bottleneck.mean().item() == pytest.approx(0.4501922, abs=1e-6)
    assert (after - volume).square().mean().item() == pytest.approx(0.1520315, abs=1e-6)


@pytest.mark.slow
def test_another_grid_agrees_with_the_release_in_both_modes(published: Restorer) -> None:
    with torch.no_grad():
        trained = published.train()(wave(16, 8, 24))
        evaluated = published.eval()(wave(16, 8, 24))
    assert trained.mean().item() == pytest.approx(0.5342813262, abs=1e-6)
    assert torch.equal(trained, evaluated)


def test_levels_have_the_promised_channels_and_strides() -> None:
    network = UNet3D(2, width=3)
    features = network(torch.rand(2, 2, 16, 24, 32))
    for pyramid, levels in (
        (network.encoder_pyramid, features.encoder),
        (network.decoder_pyramid, features.decoder),
    ):
        assert pyramid.channels == (6, 12, 24, 48)
        for level, channels, stride in zip(levels, pyramid.channels, pyramid.strides, strict=True):
            grid = torch.tensor([16, 24, 32]) // torch.tensor(stride)
            assert level.shape == (2, channels, *grid)
    assert features.decoder[-1] is features.encoder[-1]


def test_encoding_alone_gives_the_same_encoder_features_from_encoder_parameters_only() -> None:
    network = UNet3D(width=2)
    volumes = torch.rand(2, 1, 16, 16, 16)
    levels = network.encode(volumes)
    for alone, whole in zip(levels, network(volumes).encoder, strict=True):
        assert torch.equal(alone, whole)
    sum(level.sum() for level in levels).backward()
    reached = {id(weight) for weight in network.parameters() if weight.grad is not None}
    assert reached == {id(weight) for weight in network.encoder_parameters()}


@pytest.mark.parametrize("norm", ["batch-statistics", "instance"])
def test_gradient_checkpointing_changes_no_gradient(norm: str) -> None:
    gradients = []
    for economical in (False, True):
        torch.manual_seed(1)
        network = UNet3DConfig(width=2, norm=norm, gradient_checkpointing=economical).build(1)
        network(torch.rand(2, 1, 16, 16, 16)).decoder[0].square().mean().backward()
        gradients.append([weight.grad for weight in network.parameters()])
    for plain, economical in zip(*gradients, strict=True):
        assert torch.equal(plain, economical)


def test_norms_differ_in_what_a_volume_hears_of_its_batch() -> None:
    volumes = torch.rand(3, 1, 16, 16, 16, generator=torch.Generator().manual_seed(2))
    differences, mixes = {}, {}
    for norm in ("batch-statistics", "batch", "instance"):
        torch.manual_seed(3)
        network = UNet3DConfig(width=2, norm=norm).build(1).eval()
        with torch.no_grad():
            together = network(volumes).decoder[0][:1]
            alone = network(volumes[:1]).decoder[0]
        differences[norm] = (together - alone).abs().max().item()
        mixes[norm] = network.mixes_batch
    assert differences["batch-statistics"] > 1e-3
    assert differences["batch"] < 1e-5
    assert differences["instance"] < 1e-5
    assert mixes == {"batch-statistics": True, "batch": False, "instance": False}


def test_without_skips_the_decoder_hears_the_bottleneck_alone() -> None:
    volumes = torch.rand(2, 1, 16, 16, 16, generator=torch.Generator().manual_seed(2))
    heard = {}
    for skips in (True, False):
        torch.manual_seed(4)
        network = UNet3DConfig(width=2, norm="instance", skips=skips).build(1)
        network.down[-1].register_forward_hook(lambda *given: torch.zeros_like(given[-1]))
        with torch.no_grad():
            first, second = network(volumes).decoder[0]
        heard[skips] = (first - second).abs().max().item()
    assert heard[True] > 1e-3
    assert heard[False] == 0


def test_the_nearest_enlargement_repeats_each_cell_and_has_no_weights() -> None:
    network = UNet3DConfig(width=1, enlargement="nearest").build(1)
    below = torch.rand(1, 16, 1, 2, 1)
    enlarged = network.ups[-1](below)
    expected = below.repeat_interleave(2, 2).repeat_interleave(2, 3).repeat_interleave(2, 4)
    assert torch.equal(enlarged, expected)
    assert not list(network.ups.parameters())


def test_batch_statistics_of_one_volume_are_instance_norm() -> None:
    volume = torch.rand(1, 1, 16, 16, 16)
    one, other = UNet3DConfig(width=2).build(1), UNet3DConfig(width=2, norm="instance").build(1)
    other.load_state_dict(one.state_dict())
    assert torch.allclose(one(volume).decoder[0], other(volume).decoder[0], atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1, 12, 16, 16), (1, 1, 16, 16, 20), (1, 2, 16, 16, 16)])
def test_volumes_of_a_wrong_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"divisible by \(8, 8, 8\)|\(B, 1, X, Y, Z\)"):
        UNet3D(width=1)(torch.zeros(shape))


def test_arguments_without_a_meaning_are_refused() -> None:
    with pytest.raises(ValueError, match="width must be at least 1, got 0"):
        UNet3DConfig(width=0)
    with pytest.raises(ValueError, match="got 'group'"):
        UNet3DConfig(norm="group")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="enlargement must be one of transposed, nearest, got"):
        UNet3DConfig(enlargement="cubic")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="count every batch twice"):
        UNet3DConfig(norm="batch", gradient_checkpointing=True)
    with pytest.raises(ValueError, match="in_channels must be at least 1"):
        UNet3DConfig().build(0)
