"""Colors come from the embedding alone, by one rule for all patients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from labelled_store import write_store
from torch import Tensor

from selfscan.evaluation.embedding_colors import color_scans, different_patients
from selfscan.networks.backbone import Backbone, Features, Pyramid
from selfscan.scans.store import Store
from selfscan.training.engine import EngineConfig
from selfscan.training.frozen import FrozenBackbone


class Powers(Backbone):
    """The intensity, whether it is bright, and whether it is brighter still."""

    in_channels = 1
    encoder_pyramid = Pyramid((3,), ((1, 1, 1),))
    decoder_pyramid = Pyramid()
    divisor = (1, 1, 1)

    def forward(self, volumes: Tensor) -> Features:
        return Features(self.encode(volumes))

    def encode(self, volumes: Tensor) -> tuple[Tensor, ...]:
        parts = (volumes > 0, volumes > 0.475, volumes > 0.625)
        return (torch.cat([part.float() for part in parts], dim=1),)

    def encoder_parameters(self) -> list[torch.nn.Parameter]:
        return []


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(write_store(tmp_path / "store")).select(ids=["scan-4", "scan-5"])


def test_like_embeddings_have_like_colors_in_all_patients(store: Store) -> None:
    fabric = EngineConfig(accelerator="cpu", precision="32-true").fabric()
    frozen = FrozenBackbone(Powers(), (-1000.0, 1000.0), (24, 20, 16), 0.5, fabric)
    scans = color_scans(frozen, store)
    assert [scan.case for scan in scans] == ["scan-4", "scan-5"]
    colors: dict[int, set[tuple[float, ...]]] = {}
    for scan in scans:
        # The tissues of 0, 300 and 600 HU apart have means of -200, 100 and 400.
        for image, color in zip(scan.images, scan.colors, strict=True):
            assert color.shape == (*image.shape, 3)
            tissue = np.digitize(500 * image - 200, (-50, 250))
            for kind in range(3):
                inside = color[(tissue == kind) & color.any(axis=-1)]
                colors.setdefault(kind, set()).update(map(tuple, inside.round(3).tolist()))
    assert all(len(found) == 1 for found in colors.values())
    assert len(set.union(*colors.values())) == 3


def test_the_background_is_black_and_the_slices_run_through_the_organs(store: Store) -> None:
    fabric = EngineConfig(accelerator="cpu", precision="32-true").fabric()
    frozen = FrozenBackbone(Powers(), (-1000.0, 1000.0), (24, 20, 16), 0.5, fabric)
    scan = color_scans(frozen, store)[0]
    # The lowest slice is air; each slice is cut to the box of the body.
    assert [image.shape for image in scan.images] == [(24, 20), (24, 15), (20, 15)]
    # Between the middles of ball and bar, the axial slice meets both, and the bar is the brightest.
    assert np.bincount(np.digitize(500 * scan.images[0].ravel() - 200, (-50, 250))).min() > 20


def test_one_scan_a_patient(tmp_path: Path) -> None:
    store = Store(write_store(tmp_path / "store"))
    assert different_patients(store, 2).ids == store.ids[:2]
    assert len(different_patients(store, 99)) == len(set(store.subjects))
    twice = store.select(ids=[store.ids[3], store.ids[3], store.ids[0]])
    assert different_patients(twice, 2).ids == (store.ids[3], store.ids[0])
