"""Embeddings of voxels: the arithmetic of cells, parity with the release, and what is refused."""

from __future__ import annotations

import pytest
import torch
from test_fpn3d import fill_with_sines, wave
from torch import Tensor

from selfscan.networks.fpn3d import FPN3D
from selfscan.networks.voxels import voxel_features


def cells_of(size: tuple[int, int, int], levels: int) -> tuple[list[Tensor], list[tuple[int, ...]]]:
    """A pyramid whose three channels hold the number of each cell along x, y and z."""
    maps, strides = [], []
    for level in range(levels):
        cells = [torch.arange(-(-length // 2**level)) for length in size]
        maps.append(torch.stack(torch.meshgrid(*cells, indexing="ij"))[None])
        strides.append((2**level,) * 3)
    return maps, strides


def ints(*rows: tuple[int, ...]) -> Tensor:
    return torch.tensor(rows)


@pytest.mark.parametrize(
    ("size", "position", "expected"),
    [
        (
            (128, 128, 32),
            (127, 127, 31),
            [(127, 127, 31), (63, 63, 15), (31, 31, 7), (15, 15, 3), (7, 7, 1), (3, 3, 0)],
        ),
        (
            (128, 128, 32),
            (5, 77, 19),
            [(5, 77, 19), (2, 38, 9), (1, 19, 4), (0, 9, 2), (0, 4, 1), (0, 2, 0)],
        ),
        (
            (128, 128, 32),
            (63, 64, 15),
            [(63, 64, 15), (31, 32, 7), (15, 16, 3), (7, 8, 1), (3, 4, 0), (1, 2, 0)],
        ),
        ((33, 33, 33), (32, 32, 32), [(n,) * 3 for n in (32, 16, 8, 4, 2, 1)]),
    ],
)
def test_cells_of_the_specification(
    size: tuple[int, int, int], position: tuple[int, ...], expected: list[tuple[int, ...]]
) -> None:
    found = voxel_features(*cells_of(size, 6), torch.zeros(1, dtype=torch.int64), ints(position))
    assert found.reshape(6, 3).tolist() == [list(cell) for cell in expected]


def test_embeddings_agree_with_the_release() -> None:
    network = FPN3D(channels=4, levels=3).double().eval()
    fill_with_sines(network, 3)
    with torch.no_grad():
        levels = network(torch.cat([wave(), wave(0.9)])).decoder
    strides = network.decoder_pyramid.strides
    positions = ints((5, 4, 3), (11, 8, 5))
    found = voxel_features(levels, strides, torch.zeros(2, dtype=torch.int64), positions)
    assert found.shape == (2, 28)
    assert found.norm(dim=1).tolist() == pytest.approx([963.499091, 141.813744], abs=1e-5)
    assert found[0, 4].item() == pytest.approx(158.439974, abs=1e-5)
    both = voxel_features(levels, strides, torch.tensor([1, 0]), positions)
    assert torch.equal(both[1], found[1])
    assert not torch.equal(both[0], found[0])


def test_gradients_reach_the_cells_looked_up_and_no_others() -> None:
    level = torch.zeros(2, 1, 4, 4, 4, requires_grad=True)
    places = ints((0, 1, 2), (0, 1, 2), (7, 7, 7))
    voxel_features([level], [(2, 2, 2)], torch.tensor([0, 0, 1]), places).sum().backward()
    assert level.grad is not None
    assert level.grad[0, 0, 0, 0, 1] == 2
    assert level.grad[1, 0, 3, 3, 3] == 1
    assert level.grad.sum() == 3


@pytest.mark.parametrize("position", [(-1, 0, 0), (0, 8, 0)])
def test_voxels_outside_are_refused(position: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match=r"within \(8, 8, 8\) voxels, got \(.*\)"):
        voxel_features(
            [torch.zeros(1, 1, 8, 8, 8)],
            [(1, 1, 1)],
            torch.zeros(2, dtype=torch.int64),
            ints((0, 0, 0), position),
        )
