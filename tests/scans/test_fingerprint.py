from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from selfscan.scans.contract import PreprocessingContract
from selfscan.scans.fingerprint import (
    NEAR,
    NEAR_DETAIL,
    SIZE,
    fingerprint,
    fingerprint_and_detail,
    nearest,
    unit,
)
from selfscan.scans.read import read
from selfscan.scans.scan import Scan

Array = npt.NDArray[np.int16]
CT = (True,)


def prints(*volumes: Array) -> npt.NDArray[np.int8]:
    return np.array([fingerprint(volume[None], CT) for volume in volumes], np.int8)


def smooth(seed: int, shape: tuple[int, int, int] = (40, 36, 28)) -> Array:
    """A body with a few soft blobs, another one a seed."""
    random = np.random.default_rng(seed)
    place = np.stack(np.meshgrid(*(np.linspace(0, 1, n) for n in shape), indexing="ij"))
    volume = np.full(shape, -900.0)
    for _ in range(6):
        center, width = random.uniform(0.2, 0.8, (3, 1, 1, 1)), random.uniform(0.1, 0.3)
        volume += 500 * np.exp(-(((place - center) / width) ** 2).sum(0))
    return volume.astype(np.int16)


@pytest.fixture
def scan() -> Array:
    return smooth(0)


def test_a_hundred_small_numbers(scan: Array) -> None:
    found = fingerprint(scan[None], CT)
    assert len(found) == SIZE == 124
    assert max(map(abs, found)) == 127


def test_copies_are_near_and_other_scans_are_not(scan: Array) -> None:
    random = np.random.default_rng(1)
    noisy = scan + random.normal(0, 40, scan.shape).astype(np.int16)
    rescaled = (0.8 * scan + 50).astype(np.int16)
    affine = np.eye(4)
    fine = PreprocessingContract(spacing=(1.6, 1.6, 1.6)).apply(
        Scan(scan[None], affine, modality=("ct",))
    )
    copies = prints(noisy, rescaled, fine.volume[0])
    others = prints(*(smooth(seed) for seed in range(1, 8)))
    assert (nearest(copies, prints(scan))[1] < NEAR).all()
    assert (nearest(others, prints(scan))[1] > 10 * NEAR).all()


def test_details_of_copies_are_near_and_of_others_are_not(scan: Array) -> None:
    noise = np.random.default_rng(1).normal(0, 40, scan.shape).astype(np.int16)
    volumes = [scan, scan + noise, (0.8 * scan + 50).astype(np.int16), smooth(1), smooth(2)]
    found = [fingerprint_and_detail(volume[None], CT) for volume in volumes]
    assert [low for low, _ in found] == [tuple(row) for row in prints(*volumes).tolist()]
    details = unit(np.array([high for _, high in found], np.int8))
    assert details.shape == (5, 8**3 - 5**3)
    distances = 1 - details[1:] @ details[0]
    assert (distances[:2] < NEAR_DETAIL).all()
    assert (distances[2:] > 10 * NEAR_DETAIL).all()


def test_the_mean_of_cells_by_hand() -> None:
    # Two voxels along X, the first 200 HU above the second: only the frequencies along X remain.
    volume = np.zeros((2, 3, 5), np.int16)
    volume[0] = 200
    table = np.array((0, *fingerprint(volume[None], CT))).reshape(5, 5, 5)
    assert not table[:, 1:].any()
    assert not table[:, :, 1:].any()
    assert table[1, 0, 0] == 127
    assert table[2, 0, 0] == 0
    assert table[3, 0, 0] == pytest.approx(-127 / 3, abs=1)


def test_what_lies_beyond_the_window_changes_nothing(scan: Array) -> None:
    metal = scan.copy()
    metal[10:12, 10:12, 10:12] = 1000
    burnt = np.where(metal == 1000, 30_000, metal).astype(np.int16)
    assert fingerprint(metal[None], CT) == fingerprint(burnt[None], CT)


def test_a_volume_without_contrast_is_like_no_other(scan: Array) -> None:
    flat = np.full(scan.shape, 7, np.int16)
    assert fingerprint(flat[None], CT) == (0,) * SIZE
    assert nearest(prints(flat), prints(flat, scan))[1] == pytest.approx(1.0)


def test_the_nearest_is_named(scan: Array) -> None:
    number, distance = nearest(prints(smooth(3), scan), prints(smooth(1), scan, smooth(3)))
    assert list(number) == [2, 1]
    assert distance == pytest.approx([0, 0], abs=1e-6)


def test_real_patients_differ_and_their_copies_do_not(data_folder: Path) -> None:
    files = sorted((data_folder / "hippocampus" / "imagesTr").glob("[!.]*.nii.gz"))[:8]
    contract = PreprocessingContract()
    scans = [contract.apply(read([file], "mr")) for file in files]
    found = np.array([fingerprint(scan.volume, (False,)) for scan in scans], np.int8)
    noise = np.random.default_rng(0).normal(0, 300, scans[0].volume.shape).astype(np.int16)
    copy = np.array([fingerprint(scans[0].volume + noise, (False,))], np.int8)
    assert nearest(copy, found)[1][0] < NEAR
    assert (nearest(found[1:], found[:1])[1] > 5 * NEAR).all()
