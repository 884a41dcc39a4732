"""Heads on pyramids: parity with the release, equality with single voxels, any strides."""

from __future__ import annotations

import pytest
import torch
from test_fpn3d import fill_with_sines, wave
from torch import Tensor, nn

from selfscan.networks.backbone import Pyramid
from selfscan.networks.fpn3d import FPN3D
from selfscan.networks.pyramid_heads import DecoderHead, LinearHead, enlarge, single_voxels
from selfscan.networks.voxels import voxel_features

UNEVEN = Pyramid((3, 5, 2), ((1, 1, 1), (2, 2, 1), (4, 6, 3)))
HEADS = (LinearHead, DecoderHead)


def released_name(name: str, levels: int) -> str:
    """What the release calls an entry of our head; its rising parts count from the coarsest."""
    part, _, rest = name.partition(".")
    if part == "layers":
        return name
    if part == "last":
        return f"head.{rest}"
    level, _, rest = rest.partition(".")
    i, risen = int(level), levels - 2 - int(level)
    return {
        "blocks": f"bottom_block.{rest}" if i == levels - 1 else f"right_blocks.{risen}.{rest}",
        "narrow": f"up_blocks.{risen}.0.{rest}",
        "skip": f"skip_blocks.{risen}.{rest}",
    }[part]


def pyramid_of(size: tuple[int, int, int], pyramid: Pyramid, *, batch: int = 2) -> list[Tensor]:
    """Random levels of volumes of this size, each axis divided rounding up."""
    random = torch.Generator().manual_seed(1)
    return [
        torch.randn(
            batch,
            width,
            *(-(-length // step) for length, step in zip(size, stride, strict=True)),
            generator=random,
        )
        for width, stride in zip(pyramid.channels, pyramid.strides, strict=True)
    ]


def settled(kind: type[nn.Module], pyramid: Pyramid, classes: int) -> nn.Module:
    """A head whose running statistics are not those of the start."""
    torch.manual_seed(0)
    head = kind(pyramid, classes=classes)
    head(pyramid_of((12, 12, 6), pyramid))
    return head.eval()


@pytest.mark.parametrize(("kind", "parameters"), [(LinearHead, 13_117), (DecoderHead, 968_029)])
def test_published_sizes(kind: type[nn.Module], parameters: int) -> None:
    with torch.device("meta"):
        head = kind(FPN3D().decoder_pyramid, classes=13)
    assert sum(parameter.numel() for parameter in head.parameters()) == parameters


@pytest.mark.parametrize(
    ("kind", "mean", "at_place"),
    [(LinearHead, -22.940661, 212.086011), (DecoderHead, -2.313541, -274.195945)],
)
def test_outputs_agree_with_the_release(
    kind: type[nn.Module], mean: float, at_place: float
) -> None:
    backbone = FPN3D(channels=4, levels=3).double().eval()
    fill_with_sines(backbone, 3)
    head = kind(backbone.decoder_pyramid, classes=2).double().eval()
    fill_with_sines(head, 3, released_name)
    with torch.no_grad():
        logits = head(backbone(wave()).decoder)
    assert logits.shape == (1, 2, 12, 9, 6)
    assert logits.mean().item() == pytest.approx(mean, abs=2e-6)
    assert logits[0, 1, 5, 4, 3].item() == pytest.approx(at_place, abs=2e-6)


@pytest.mark.parametrize("size", [(12, 12, 6), (7, 5, 3), (1, 2, 5)])
@pytest.mark.parametrize("kind", HEADS)
def test_a_map_holds_what_single_voxels_give(
    kind: type[nn.Module], size: tuple[int, int, int]
) -> None:
    levels = pyramid_of(size, UNEVEN)
    head = settled(kind, UNEVEN, 4)
    axes = [torch.arange(length) for length in (2, *size)]
    examples, *places = torch.meshgrid(*axes, indexing="ij")
    positions = torch.stack([place.flatten() for place in places], dim=1)
    embeddings = voxel_features(levels, UNEVEN.strides, examples.flatten(), positions)
    with torch.no_grad():
        alone = head(single_voxels(embeddings, UNEVEN)).flatten(1)
        found = head(levels).movedim(1, -1).reshape(-1, 4)
    torch.testing.assert_close(found, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [(25, 18, 9), (5, 1, 3)])
def test_a_linear_head_is_linear_in_the_embedding(size: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    backbone = FPN3D(channels=2, levels=4, blocks=1).double().eval()
    head = LinearHead(backbone.decoder_pyramid, classes=3).double()
    with torch.no_grad():
        levels = backbone(torch.randn(1, 1, *size, dtype=torch.float64)).decoder
        logits = head(levels)
        weight = torch.cat([layer.weight.flatten(1) for layer in head.layers], dim=1)
        q = torch.stack([torch.randint(length, (20,)) for length in size], dim=1)
        h = voxel_features(levels, backbone.decoder_pyramid.strides, torch.zeros(20).long(), q)
        expected = h @ weight.T + head.layers[0].bias
    torch.testing.assert_close(logits[0, :, q[:, 0], q[:, 1], q[:, 2]].T, expected)


@pytest.mark.parametrize("kind", HEADS)
def test_gradients_reach_every_weight(kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    head = kind(UNEVEN, classes=2)
    levels = [level.requires_grad_() for level in pyramid_of((12, 12, 6), UNEVEN)]
    head(levels).square().sum().backward()
    reached = [*head.parameters(), *levels]
    assert all(one.grad is not None and one.grad.abs().sum() > 0 for one in reached)


def test_cells_are_repeated_and_cut_at_the_high_end() -> None:
    maps = torch.arange(4.0).view(1, 1, 2, 2, 1)
    found = enlarge(maps, (2, 1, 3), (3, 2, 2))[0, 0]
    assert found[..., 0].tolist() == [[0, 1], [0, 1], [2, 3]]
    assert torch.equal(found[..., 0], found[..., 1])
    assert enlarge(maps, (2, 2, 3), (1, 1, 1)).tolist() == [[[[[0.0]]]]]


@pytest.mark.parametrize("kind", HEADS)
def test_pyramids_that_do_not_nest_are_refused(kind: type[nn.Module]) -> None:
    with pytest.raises(ValueError, match="at least one level, got none"):
        kind(Pyramid(), classes=2)
    with pytest.raises(ValueError, match="must be a multiple of the next finer one"):
        kind(Pyramid((1, 1), ((2, 2, 2), (3, 4, 4))), classes=2)
