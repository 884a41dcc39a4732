from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from small_store import NETWORK, write_small_store

from selfscan.evaluation.longer import voxels_a_step
from selfscan.methods.gvsl import GVSLConfig
from selfscan.methods.models_genesis import ModelsGenesisConfig
from selfscan.methods.swin_unetr import SwinUNETRPretrainingConfig
from selfscan.methods.vox2vec import Vox2VecConfig
from selfscan.scans.store import Store

SIZE = (16, 16, 16)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(write_small_store(tmp_path_factory.mktemp("store")))


@pytest.mark.parametrize(
    ("method", "rows"),
    [
        (ModelsGenesisConfig(crop_size=SIZE, batch_size=3), 3),
        # Two views of each of two crops of a scan.
        (SwinUNETRPretrainingConfig(crop_size=SIZE, batch_size=3, crops_per_scan=2), 3 * 2 * 2),
        (Vox2VecConfig(crop_size=SIZE, batch_size=3), 3 * 2),  # an overlapping pair
        (GVSLConfig(crop_size=SIZE, batch_size=3), 3 * 2),  # two patients
    ],
)
def test_every_view_of_every_crop_counts(store: Store, method: Any, rows: int) -> None:
    checkpoint: Any = SimpleNamespace(
        method=method, backbone=NETWORK, in_channels=1, crop_size=SIZE
    )
    assert voxels_a_step(checkpoint, store) == rows * 16**3
