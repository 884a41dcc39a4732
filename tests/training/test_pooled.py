from __future__ import annotations

import pytest
import torch
from labelled_store import write_store

from selfscan.networks.unet3d import UNet3DConfig
from selfscan.scans.store import Store
from selfscan.training.engine import EngineConfig
from selfscan.training.frozen import FrozenBackbone, freeze
from selfscan.training.pooled import pooled_features
from selfscan.training.segmentation import inference_fabric
from selfscan.training.start import starting_point


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(write_store(tmp_path_factory.mktemp("data") / "store"))


@pytest.fixture(scope="module")
def frozen(store: Store) -> FrozenBackbone:
    start = starting_point(
        store,
        checkpoint=None,
        backbone=UNet3DConfig(width=2),
        crop_size=(16, 16, 16),
        window_hu=None,
    )
    fabric = inference_fabric(EngineConfig(accelerator="cpu", precision="32-true"))
    return freeze(start, seed=0, overlap=0.0, fabric=fabric)[0]


def test_a_scan_has_the_mean_of_its_voxels(store: Store, frozen: FrozenBackbone) -> None:
    found = pooled_features(frozen, store.select(ids=["scan-1"]), voxels=10**6)
    inside = torch.from_numpy(store.read_foreground(1)).nonzero().numpy()
    expected = frozen.features(store, 1, inside).mean(dim=0)
    assert found.shape == (1, sum(frozen.pyramid.channels))
    torch.testing.assert_close(found[0], expected)


def test_the_draw_depends_on_the_scan_alone(store: Store, frozen: FrozenBackbone) -> None:
    few = pooled_features(frozen, store.select(ids=["scan-4", "scan-1"]), voxels=30)
    alone = pooled_features(frozen, store.select(ids=["scan-1"]), voxels=30)
    torch.testing.assert_close(few[1], alone[0])
    other = pooled_features(frozen, store.select(ids=["scan-1"]), voxels=30, seed=1)
    assert not torch.equal(other, alone)
