"""Online probing: it sees how good features are, and refuses data that cannot tell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from labelled_store import write_store
from test_frozen import frozen

from selfscan.errors import SelfscanError
from selfscan.scans.store import Store
from selfscan.training.online_probe import OnlineProbe, ProbeValidation

PROBE = OnlineProbe(cases=2, voxels_per_class=100)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(write_store(tmp_path_factory.mktemp("data") / "store"))


def test_features_that_tell_shapes_apart_score_high_and_others_low(store: Store) -> None:
    probing = ProbeValidation(PROBE, store, seed=0)
    backbone = frozen((24, 20, 16))
    good = probing(backbone)
    assert list(good) == ["probe_dice", "probe_dice/ball", "probe_dice/bar"]
    assert good["probe_dice"] > 0.9
    assert good["probe_dice"] == pytest.approx(np.mean(list(good.values())[1:]), abs=1e-6)
    assert probing(backbone) == good
    blind = replace(backbone, window_hu=(-2000.0, -1900.0))
    assert probing(blind)["probe_dice"] < 0.5


def test_random_numbers_of_others_are_left_alone(store: Store) -> None:
    probing = ProbeValidation(PROBE, store, seed=0)
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    probing(frozen((24, 20, 16)))
    drawn = torch.rand(3), np.random.rand(3)  # noqa: NPY002
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    assert torch.equal(drawn[0], torch.rand(3))
    np.testing.assert_array_equal(drawn[1], np.random.rand(3))  # noqa: NPY002


@pytest.mark.filterwarnings("ignore:lbfgs failed")
def test_a_head_that_is_not_solved_gives_no_number(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    found = ProbeValidation(replace(PROBE, iterations=1), store, seed=0)(frozen((24, 20, 16)))
    assert np.isnan(found["probe_dice"])
    assert "not solved after 1 iterations" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cases": 4}, "found 3 labelled scans in the split 'train'; expected 1 to 3"),
        ({"scored_split": "tuning"}, "no labelled scan in the split 'tuning'"),
        ({"scored_split": "train"}, "found 2 patients both among the probe's labelled cases"),
    ],
)
def test_unsuitable_scans_are_refused(store: Store, changes: dict, message: str) -> None:
    with pytest.raises(SelfscanError, match=message):
        ProbeValidation(replace(PROBE, **changes), store, seed=0)


def test_a_store_without_labels_is_refused(tmp_path: Path) -> None:
    store = Store(write_store(tmp_path / "store", labelled=False))
    with pytest.raises(SelfscanError, match="label"):
        ProbeValidation(PROBE, store, seed=0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scored_cases", 0),
        ("voxels_per_class", 0),
        ("background_voxels", 0),
        ("overlap", 1.0),
        ("penalty", 0.0),
    ],
)
def test_values_without_a_meaning_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        OnlineProbe(**{name: value})
