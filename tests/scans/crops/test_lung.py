from __future__ import annotations

import numpy as np
import pytest

from selfscan.errors import SelfscanError
from selfscan.scans.crops import lung
from selfscan.scans.crops.lung import LungCrops, tissue_score

SIZE = (8, 8, 4)
SMALLEST = (209, 209, 68)  # 2 * 100 + 8 + 1 in plane, 2 * 30 + 4 + 4 slices


def test_the_tissue_score_equals_the_published_loop(random) -> None:
    window = random.integers(-1000, 700, (5, 6, 8)).astype(np.int16)  # extended by 3 slices
    unit = (window + 1000) / 2000
    total = 0.0
    for x, y, d in np.ndindex(5, 6, 5):
        score = next((1 - k / 2 for k in range(3) if unit[x, y, d + k] >= 0.425), 0.0)
        total += score
    assert tissue_score(window[:, :, :6], -150.0) == pytest.approx(total / (5 * 6 * 5))


def test_crops_stay_off_the_border_and_off_tissue(make_store, random) -> None:
    volume = np.full((214, 212, 72), -850, dtype=np.int16)
    volume[:102] = 40
    store = make_store([volume])
    starts = np.array([LungCrops(SIZE).draw(store, random).crops[0].start for _ in range(150)])
    assert starts.min(axis=0).tolist() == [101, 100, 30]  # one of 8 planes is tissue: 0.125
    # the last starts of the release: X - 100 - 8 - 1, and Z - 30 - 4 - 3 - 1
    assert starts.max(axis=0).tolist() == [214 - 109, 212 - 109, 72 - 38]


def test_scans_that_cannot_hold_a_crop_are_never_drawn(make_store, random) -> None:
    large = np.full(SMALLEST, -900, dtype=np.int16)
    large[0] = 0
    small = large[:-1]
    store = make_store([small, large, small])
    drawn = {LungCrops(SIZE).draw(store, random).crops[0] for _ in range(5)}
    assert {(crop.scan, crop.start) for crop in drawn} == {(1, (100, 100, 30))}


def test_a_store_without_a_large_ct_is_refused(make_store) -> None:
    small = np.full((50, 50, 50), -900, dtype=np.int16)
    small[0] = 0
    with pytest.raises(SelfscanError, match=r"1 CT scans among 1.*\(209, 209, 68\) voxels"):
        LungCrops(SIZE).check(make_store([small], name="small"))
    large = np.full(SMALLEST, -900, dtype=np.int16)
    large[:100] = 0
    mr = make_store([large], modality="mr", name="mr")
    with pytest.raises(SelfscanError, match="0 CT scans among 1"):
        LungCrops(SIZE).check(mr)


def test_solid_scans_end_in_an_error(make_store, random, monkeypatch) -> None:
    monkeypatch.setattr(lung, "ATTEMPTS", 5)
    solid = np.full(SMALLEST, 50, dtype=np.int16)
    solid[0] = 0
    with pytest.raises(SelfscanError, match=r"no crop of .* with at most 15% tissue"):
        LungCrops(SIZE).draw(make_store([solid]), random)


def test_a_window_must_rise() -> None:
    with pytest.raises(ValueError, match="window_hu must rise"):
        LungCrops(window_hu=(1000.0, -1000.0))
    assert LungCrops().size == (64, 64, 32)
