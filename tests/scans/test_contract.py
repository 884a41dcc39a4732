from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from selfscan.errors import ContractError, ScanError
from selfscan.scans.contract import UNIT, PreprocessingContract
from selfscan.scans.scan import Scan

SHAPE = (24, 20, 16)
FLIPPED = np.array(
    [[0.0, -1.2, 0.3, 5.0], [-1.0, 0.0, 0.1, 7.0], [0.0, 0.4, 2.0, -3.0], [0, 0, 0, 1]]
)


def mr(random: np.random.Generator) -> np.ndarray:
    return random.gamma(2.0, 300.0, (1, *SHAPE)).astype(np.float32)


def test_ct_keeps_hounsfield_units_in_16_bits() -> None:
    voxels = np.zeros((1, *SHAPE), dtype=np.float32)
    voxels[0, 0, 0, :4] = (-1000.4, 40.6, 70_000.0, -70_000.0)
    prepared = PreprocessingContract().apply(Scan(voxels, np.eye(4), modality=("ct",)))
    assert prepared.volume.dtype == np.int16
    assert prepared.volume[0, 0, 0, :4].tolist() == [-1000, 41, 32767, -32768]
    assert prepared.hounsfield == (True,)
    assert (prepared.intensity_slope, prepared.intensity_intercept) == ((1.0,), (0.0,))


def test_other_modalities_are_scaled_by_their_percentiles(random) -> None:
    voxels = mr(random)
    prepared = PreprocessingContract().apply(Scan(voxels, np.eye(4), modality=("mr",)))
    low, high = np.percentile(voxels, (0.5, 99.5))
    stored = prepared.volume.astype(float)
    assert stored[voxels <= low].max() <= 0
    assert stored[voxels >= high].min() >= UNIT
    restored = stored * prepared.intensity_slope[0] + prepared.intensity_intercept[0]
    inside = stored < 3 * UNIT
    np.testing.assert_allclose(restored[inside], voxels[inside], atol=(high - low) / UNIT)
    shifted = Scan(voxels * 7 + 100, np.eye(4), modality=("mr",))
    other = PreprocessingContract().apply(shifted).volume
    assert np.abs(other.astype(int) - prepared.volume).max() <= 1


def test_extreme_values_are_clipped() -> None:
    voxels = np.linspace(0, 1, 24 * 20 * 16, dtype=np.float32).reshape(1, *SHAPE)
    voxels[0, 0, 0, :2] = (-1e6, 1e6)
    prepared = PreprocessingContract().apply(Scan(voxels, np.eye(4), modality=("pt",)))
    assert prepared.volume[0, 0, 0, :2].tolist() == [-2 * UNIT, 3 * UNIT]


def test_each_channel_has_its_own_scale(random) -> None:
    pair = np.concatenate([mr(random), 50 * mr(random)])
    prepared = PreprocessingContract().apply(Scan(pair, np.eye(4), modality=("mr", "pt")))
    assert prepared.intensity_slope[1] > 20 * prepared.intensity_slope[0]
    assert np.percentile(prepared.volume[1], 99.5) == pytest.approx(UNIT, abs=2)


@pytest.mark.parametrize("spacing", [None, (1.5, 1.0, 1.0)])
def test_a_world_point_keeps_its_value_and_its_label(random, spacing) -> None:
    smooth = np.add.outer(np.add.outer(np.arange(24) * 9, np.arange(20) * 5), np.arange(16) * 7)
    labels = (smooth > 300).astype(np.uint8)
    scan = Scan(smooth[None].astype(np.int16), FLIPPED, modality=("ct",))
    prepared = PreprocessingContract(spacing=spacing).apply(scan, Scan(labels[None], FLIPPED))
    agreed = 0
    for _ in range(50):
        voxel = random.integers(4, np.array(SHAPE) - 4)
        point = FLIPPED[:3, :3] @ voxel + FLIPPED[:3, 3]
        there = np.linalg.solve(prepared.affine[:3, :3], point - prepared.affine[:3, 3])
        nearest = np.rint(there).astype(int)
        slack = 0 if spacing is None else 12
        value = prepared.volume[0][tuple(nearest)]
        assert abs(int(value) - int(smooth[tuple(voxel)])) <= slack
        agreed += int(prepared.labels[tuple(nearest)] == labels[tuple(voxel)])
    assert agreed == 50 if spacing is None else agreed >= 48
    assert prepared.labels.shape == prepared.volume.shape[1:] == prepared.foreground.shape


def test_labels_on_another_grid_are_refused(random) -> None:
    scan = Scan(mr(random), np.eye(4), modality=("mr",), source=(Path("image.nii.gz"),))
    shorter = Scan(np.zeros((1, 24, 20, 15), dtype=np.uint8), np.eye(4))
    with pytest.raises(ScanError, match="shape 24 x 20 x 15"):
        PreprocessingContract().apply(scan, shorter)
    moved = np.eye(4)
    moved[0, 3] = 5.0
    with pytest.raises(ScanError, match="5 mm off"):
        PreprocessingContract().apply(scan, Scan(np.zeros((1, *SHAPE), dtype=np.uint8), moved))
    moved[0, 3] = 0.01
    PreprocessingContract().apply(scan, Scan(np.zeros((1, *SHAPE), dtype=np.uint8), moved))


def test_coinciding_percentiles_are_refused() -> None:
    voxels = np.zeros((1, *SHAPE), dtype=np.float32)
    voxels[0, 0, 0, 0] = 1
    with pytest.raises(ScanError, match=r"the value 0 at the 0\.5 and the 99\.5 percentile"):
        PreprocessingContract().apply(Scan(voxels, np.eye(4), modality=("mr",)))


def test_guesses_and_missing_bodies_are_told() -> None:
    voxels = np.full((1, *SHAPE), -1000, dtype=np.int16)
    voxels[0, :3] = -990
    prepared = PreprocessingContract().apply(Scan(voxels, np.eye(4), modality=("ct",)))
    assert prepared.foreground.all()
    assert prepared.warnings == ("no body found: the whole volume counts as foreground",)
    voxels[0, 6:18, 5:15, 4:12] = 40
    voxels[0, 10:14, 8:12, 4:12] = 500
    prepared = PreprocessingContract().apply(Scan(voxels, np.eye(4), warnings=("old",)))
    assert prepared.warnings == ("old", "modality guessed: ct")


def test_contracts_travel_through_json_and_name_their_differences() -> None:
    contract = PreprocessingContract(spacing=(1, 1, 2))
    fields = contract.to_json()
    assert PreprocessingContract.from_json(fields) == contract
    fields["spacing"] = list(fields["spacing"])
    assert PreprocessingContract.from_json(fields).digest() == contract.digest()
    contract.require(PreprocessingContract(spacing=(1.0, 1.0, 2.0)))
    with pytest.raises(ContractError, match=r"spacing None where \(1\.0, 1\.0, 2\.0\)"):
        contract.require(PreprocessingContract())
    with pytest.raises(ContractError, match="use the version of selfscan that wrote it"):
        PreprocessingContract.from_json({"spacing": None})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"spacing": (1.0, -1.0, 1.0)}, "spacing must be three lengths above 0 mm"),
        ({"spacing": (1.0, 1.0)}, "spacing must be three lengths"),
        ({"percentiles": (99.5, 0.5)}, "percentiles must rise within 0 to 100"),
        ({"orientation": "LPS"}, "orientation must be RAS, got LPS"),
    ],
)
def test_contracts_without_a_meaning_are_refused(fields, message) -> None:
    with pytest.raises(ValueError, match=message):
        PreprocessingContract(**fields)
