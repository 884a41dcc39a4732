from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from labelled_store import write_store
from small_store import write_small_store

from selfscan.evaluation.landmarks import organ_middles
from selfscan.evaluation.organ_search import PLACE, organ_errors
from selfscan.evaluation.retrieval import Blocks
from selfscan.scans.store import Store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(write_small_store(tmp_path_factory.mktemp("store")))


def _place_itself(volume: Any, hounsfield: Sequence[bool], positions: Any) -> Blocks:
    """An embedding that knows nothing but where a voxel is: finds the nearest by direction."""
    features = np.concatenate([positions, positions**2, np.ones((len(positions), 1))], axis=1)
    yield np.arange(len(positions)), features.astype(np.float32)


def test_each_organ_is_searched_in_each_other_patient(store: Store) -> None:
    scans = store.select(ids=["scan-0", "scan-3", "scan-5"])
    errors = organ_errors(scans, {"where": _place_itself})
    assert list(errors["embedding"].unique()) == ["where", PLACE]
    pairs = set(zip(errors["scan"], errors["target"], strict=True))
    assert pairs == {(a, b) for a in scans.ids for b in scans.ids if a != b}
    assert set(errors["structure"]) == {"ball"}


def test_the_error_is_the_distance_from_the_organ_of_the_target(store: Store) -> None:
    scans = store.select(ids=["scan-0", "scan-3"])
    errors = organ_errors(scans, {"where": _place_itself})
    middles = [
        organ_middles(scans.read_labels(i), scans.label_names, scans[i].spacing)["ball"]
        for i in range(2)
    ]
    # Whoever knows only the place finds the same voxel, if it is in the other body.
    apart = float(np.linalg.norm((middles[0] - middles[1]) * np.array(scans[0].spacing)))
    found = errors[errors["embedding"] == "where"]["error_mm"].to_numpy()
    np.testing.assert_allclose(found, [apart, apart], atol=2 * max(scans[0].spacing))


def test_without_labels_or_with_one_patient_there_is_nothing_to_search(
    store: Store, tmp_path: Path
) -> None:
    columns = ["embedding", "scan", "target", "structure", "error_mm"]
    unlabelled = Store(write_store(tmp_path, labelled=False))
    for scans in (unlabelled, store.select(ids=["scan-0"])):
        errors = organ_errors(scans, {"where": _place_itself})
        assert errors.empty
        assert list(errors.columns) == columns
