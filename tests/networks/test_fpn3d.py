"""The feature pyramid of vox2vec: published sizes, parity numbers, any size of volume."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from released_vox2vec import released_name
from torch import Tensor, nn

from selfscan.networks.fpn3d import FPN3D, FPN3DConfig

Names = Callable[[str, int], str]


def fill_with_sines(network: nn.Module, levels: int, names: Names = released_name) -> None:
    """The specification's weights: sines of an entry's rank among the sorted names, and place."""
    state = network.state_dict()
    for rank, name in enumerate(sorted(state, key=lambda name: names(name, levels))):
        entry = state[name]
        s = torch.sin(0.1 * rank + 0.7 * torch.arange(entry.numel(), dtype=torch.float64))
        if name.endswith("num_batches_tracked"):
            entry.zero_()
        elif name.endswith("running_var"):
            entry.copy_(1 + s**2 / 2)
        elif entry.ndim == 1:
            entry.copy_(1 + 0.2 * s if name.endswith("weight") else 0.1 * s)
        else:
            entry.copy_((s / (entry.numel() / entry.shape[0]) ** 0.5).view_as(entry))


def wave(phase: float = 0.0) -> Tensor:
    """The specification's volume, shape (1, 1, 12, 9, 6)."""
    sizes = (torch.arange(n, dtype=torch.float64) for n in (12, 9, 6))
    a, b, c = torch.meshgrid(*sizes, indexing="ij")
    return (
        0.5 + 0.25 * (0.3 * a + phase).sin() + 0.15 * (0.5 * b).cos() + 0.1 * (0.2 * a * c).sin()
    )[None, None]


@pytest.fixture
def filled() -> FPN3D:
    network = FPN3D(channels=4, levels=3).double()
    fill_with_sines(network, 3)
    return network


@pytest.mark.parametrize(
    ("arguments", "parameters"),
    [
        ({}, 47_624_448),
        ({"channels": 8}, 11_911_232),
        ({"levels": 5}, 11_897_088),
        ({"channels": 32}, 190_456_832),
        ({"channels": 4, "levels": 3}, 45_968),
        ({"blocks": (2, 2, 4, 4, 8, 8)}, 179_491_584),
    ],
)
def test_published_sizes(arguments: dict[str, object], parameters: int) -> None:
    with torch.device("meta"):
        network = FPN3DConfig(**arguments).build(1)  # type: ignore[arg-type]
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_the_published_network_has_the_released_entries() -> None:
    with torch.device("meta"):
        state = FPN3D().state_dict()
    names = {released_name(name, 6): tuple(entry.shape) for name, entry in state.items()}
    assert len(names) == len(state) == 340
    assert names["first_conv.weight"] == (16, 1, 3, 3, 3)
    assert names["left_blocks.4.layers.1.layers.5.weight"] == (256, 256, 3, 3, 3)
    assert names["down_blocks.4.1.weight"] == (512, 256, 1, 1, 1)
    assert names["bottom_block.layers.0.layers.0.running_var"] == (512,)
    assert names["up_blocks.0.0.weight"] == (256, 512, 1, 1, 1)
    assert names["skip_blocks.4.weight"] == (16, 16, 1, 1, 1)
    assert names["right_blocks.0.layers.0.layers.2.bias"] == (256,)


@pytest.mark.parametrize(
    ("training", "expected"),
    [
        (
            False,
            [
                (-24.652556, 566.581899, 52.732618, -60.789507),
                (3.885377, 82.552940, 10.355681, -22.260631),
                (-1.437604, 14.900463, -2.392543, 4.607017),
            ],
        ),
        (
            True,
            [
                (-1.578361, 5.579971, -2.622566, 4.704146),
                (-0.230500, 5.231633, 2.957608, 2.475610),
                (-0.102286, 2.135716, -1.191901, -1.608464),
            ],
        ),
    ],
)
def test_outputs_agree_with_the_release(
    filled: FPN3D, training: bool, expected: list[tuple[float, ...]]
) -> None:
    volume = wave()
    assert volume.sum().item() == pytest.approx(410.301110, abs=1e-6)
    assert volume[0, 0, 3, 2, 1].item() == pytest.approx(0.833341, abs=1e-6)
    with torch.no_grad():
        levels = filled.train(training)(volume).decoder
    for level, numbers in zip(levels, expected, strict=True):
        flat = level.flatten()
        found = (flat.mean().item(), flat.std().item(), flat[0].item(), flat[-1].item())
        assert found == pytest.approx(numbers, abs=2e-6)


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("shape", [(8, 8, 8), (25, 18, 9), (5, 1, 2)])
def test_levels_are_halved_rounding_up(norm: str, shape: tuple[int, int, int]) -> None:
    network = FPN3DConfig(channels=2, levels=3, blocks=1, norm=norm).build(2).eval()
    with torch.no_grad():
        features = network(torch.rand(2, 2, *shape))
    size = shape
    for level, (own, up) in enumerate(zip(features.encoder, features.decoder, strict=True)):
        assert own.shape == up.shape == (2, 2 * 2**level, *size)
        assert network.decoder_pyramid.strides[level] == (2**level,) * 3
        size = tuple(-(-length // 2) for length in size)
    assert features.decoder[-1] is features.encoder[-1]


def test_encoding_alone_uses_the_encoder_parameters_only() -> None:
    network = FPN3D(channels=2, levels=3, blocks=1, norm="instance")
    volumes = torch.rand(1, 1, 8, 8, 8)
    levels = network.encode(volumes)
    for one, other in zip(levels, network(volumes).encoder, strict=True):
        assert torch.equal(one, other)
    sum(level.sum() for level in levels).backward()
    reached = {id(p) for p in network.parameters() if p.grad is not None}
    assert reached == {id(p) for p in network.encoder_parameters()}


def test_arguments_without_a_meaning_are_refused() -> None:
    with pytest.raises(ValueError, match="levels must be at least 1, got 0"):
        FPN3DConfig(levels=0)
    with pytest.raises(ValueError, match=r"6 of them, one a level, got \(2, 2\)"):
        FPN3DConfig(blocks=(2, 2))
    with pytest.raises(ValueError, match="norm must be one of batch, instance, got 'group'"):
        FPN3DConfig(norm="group")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="in_channels must be at least 1, got 0"):
        FPN3D(0)
    with pytest.raises(ValueError, match=r"shape \(B, 1, X, Y, Z\), got \(1, 2, 8, 8, 8\)"):
        FPN3D(channels=2, levels=2)(torch.rand(1, 2, 8, 8, 8))
