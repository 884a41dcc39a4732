"""Features of single voxels, and maps of whole scans, of a frozen backbone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from labelled_store import SHAPE, write_store
from torch import Tensor

from selfscan.networks.backbone import Backbone, Features, Pyramid
from selfscan.networks.pyramid_heads import LinearHead
from selfscan.scans.store import Store
from selfscan.training.engine import EngineConfig
from selfscan.training.frozen import FrozenBackbone
from selfscan.training.voxel_head import VoxelHead
from selfscan.transforms.intensity import to_unit


class Pooled(Backbone):
    """Two levels: the volume itself, and means over cells of 2 x 2 x 4 voxels."""

    in_channels = 1
    encoder_pyramid = Pyramid((1, 1), ((1, 1, 1), (2, 2, 4)))
    decoder_pyramid = Pyramid()
    divisor = (2, 2, 4)

    def forward(self, volumes: Tensor) -> Features:
        return Features(self.encode(volumes))

    def encode(self, volumes: Tensor) -> tuple[Tensor, ...]:
        return volumes, torch.nn.functional.avg_pool3d(volumes, (2, 2, 4))

    def encoder_parameters(self) -> list[torch.nn.Parameter]:
        return []


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(write_store(tmp_path / "store"))


def frozen(crop_size: tuple[int, int, int]) -> FrozenBackbone:
    fabric = EngineConfig(accelerator="cpu", precision="32-true").fabric()
    return FrozenBackbone(Pooled(), (-1000.0, 1000.0), crop_size, 0.5, fabric)


def units(store: Store, i: int) -> np.ndarray:
    stored = torch.from_numpy(store.read(i))[None]
    return to_unit(stored, torch.tensor([[True]]), window_hu=(-1000, 1000))[0, 0].numpy()


@pytest.mark.parametrize("crop_size", [(24, 20, 16), (8, 8, 8), (32, 24, 24), (16, 32, 8)])
def test_features_are_those_of_the_voxel(store: Store, crop_size: tuple[int, int, int]) -> None:
    random = np.random.default_rng(0)
    positions = random.integers(0, SHAPE, (60, 3))
    found = frozen(crop_size).features(store, 1, positions).numpy()
    volume = units(store, 1)
    np.testing.assert_allclose(found[:, 0], volume[tuple(positions.T)], atol=1e-6)
    # Windows start at even places along x and y and at multiples of 4 along z, so cells agree.
    if crop_size == (24, 20, 16):
        means = volume.reshape(12, 2, 10, 2, 4, 4).mean((1, 3, 5))
        expected = means[tuple((positions // (2, 2, 4)).T)]
        np.testing.assert_allclose(found[:, 1], expected, atol=1e-6)


def test_each_voxel_is_looked_up_in_one_window(store: Store) -> None:
    positions = np.indices(SHAPE).reshape(3, -1).T
    blocks = list(frozen((8, 8, 8)).window_features(store.read(1), (True,), positions))
    assert len(blocks) == 5 * 4 * 3
    members = np.concatenate([chosen for chosen, _ in blocks])
    assert sorted(members) == list(range(len(positions)))
    found = np.concatenate([features[:, 0] for _, features in blocks])
    np.testing.assert_allclose(found, units(store, 1)[tuple(positions[members].T)], atol=1e-6)


def test_windows_are_chosen_by_their_centers(store: Store) -> None:
    places = np.array([[0, 0, 0], [5, 7, 3], [6, 9, 4], [23, 19, 15]])
    starts = frozen((8, 8, 8))._nearest_windows(places, SHAPE)
    assert starts.tolist() == [[0, 0, 0], [0, 4, 0], [4, 4, 0], [16, 12, 8]]


@pytest.mark.parametrize("crop_size", [(8, 8, 8), (32, 24, 24)])
def test_logits_of_a_head_that_copies_the_volume(store: Store, crop_size) -> None:
    linear = LinearHead(Pooled.encoder_pyramid, classes=2)
    with torch.no_grad():
        linear.layers[0].weight.copy_(torch.tensor([2.0, 0.0]).view(2, 1, 1, 1, 1))
        linear.layers[0].bias.copy_(torch.tensor([1.0, 3.0]))
        linear.layers[1].weight.zero_()
    head = VoxelHead(torch.zeros(2), torch.ones(2), linear).eval()
    logits = frozen(crop_size).logits(head, store, 2)
    assert logits.shape == (2, *SHAPE)
    np.testing.assert_allclose(logits[0], 2 * units(store, 2) + 1, atol=1e-5)
    np.testing.assert_allclose(logits[1], 3.0, atol=1e-5)
