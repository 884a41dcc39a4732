"""Mean Dice of whole scans."""

from __future__ import annotations

import numpy as np
import pytest
from labelled_store import write_store

from selfscan.scans.store import Store
from selfscan.training.engine import EngineConfig
from selfscan.training.mean_dice import mean_dice

NAMES = {0: "background", 1: "ball", 2: "bar"}
FABRIC = EngineConfig(accelerator="cpu", precision="32-true").fabric()


def test_classes_are_averaged_before_scans(tmp_path) -> None:
    store = Store(write_store(tmp_path / "store")).select(splits=["test"])

    def segment(i: int) -> np.ndarray:
        truth = store.read_labels(i)
        return np.where(truth == 2, 0, truth) if i else truth  # no bar in the second scan

    found = mean_dice(segment, store, label_names=NAMES, fabric=FABRIC)
    assert found == pytest.approx({"dice": 0.75, "dice/ball": 1.0, "dice/bar": 0.5})


def test_without_scans_there_is_no_number() -> None:
    found = mean_dice(lambda i: np.zeros(()), None, label_names=NAMES, fabric=FABRIC)
    assert all(np.isnan(value) for value in found.values())
