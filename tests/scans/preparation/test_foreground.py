from __future__ import annotations

import numpy as np
import pytest

from selfscan.scans.preparation.foreground import body_mask, bounding_box

UNIT = 10_000


def torso(shape=(60, 50, 24)) -> np.ndarray:
    """An ellipse of tissue with two lungs that are open at the lowest slice, on a table."""
    x, y, _ = np.ogrid[: shape[0], : shape[1], : shape[2]]
    volume = np.full(shape, -1000, dtype=np.int16)
    body = np.broadcast_to(((x - 30) / 24) ** 2 + ((y - 28) / 14) ** 2 < 1, shape)
    volume[body] = 40
    for side in (19, 41):
        lung = np.broadcast_to(((x - side) / 7) ** 2 + ((y - 28) / 8) ** 2 < 1, shape).copy()
        lung[:, :, 18:] = False
        volume[lung] = -850
    volume[4:56, 8:10] = 100
    return volume


@pytest.fixture
def body() -> np.ndarray:
    x, y, _ = np.ogrid[:60, :50, :24]
    return np.broadcast_to(((x - 30) / 24) ** 2 + ((y - 28) / 14) ** 2 < 1, (60, 50, 24))


def test_lungs_belong_to_the_body_and_the_table_does_not(body) -> None:
    mask = body_mask(torso()[None], (True,), unit=UNIT)
    assert mask[19, 28, 5]
    assert not mask[:, 8:10].any()
    assert (mask != body).mean() < 0.005


def test_large_volumes_are_thinned_to_the_same_answer(body) -> None:
    large = torso().repeat(5, 0).repeat(5, 1)
    mask = body_mask(large[None], (True,), unit=UNIT)
    assert mask.shape == large.shape
    assert (mask != body.repeat(5, 0).repeat(5, 1)).mean() < 0.03


def test_both_legs_are_kept_and_crumbs_are_not() -> None:
    volume = np.full((60, 30, 20), -1000, dtype=np.int16)
    volume[5:20, 8:22] = volume[38:54, 8:22] = 30
    volume[28:31, 2:5, 3:6] = 200
    mask = body_mask(volume[None], (True,), unit=UNIT)
    assert not mask[21:37].any()
    assert (mask != (volume == 30)).mean() < 0.01


def test_other_modalities_start_at_a_tenth_of_their_range() -> None:
    volume = np.full((20, 20, 20), 900, dtype=np.int16)
    volume[4:12, 5:15, 6:16] = 1100
    volume[7:9, 9:11, 10:12] = 0
    mask = body_mask(volume[None], (False,), unit=UNIT)
    assert bounding_box(mask) == ((4, 5, 6), (12, 15, 16))
    assert mask.sum() == 8 * 10 * 10


def test_any_channel_counts() -> None:
    first, second = np.zeros((2, 12, 12, 12), dtype=np.int16)
    first[2:6, 2:6, 2:6] = 5000
    second[2:6, 2:6, 6:10] = 5000
    mask = body_mask(np.stack([first, second]), (False, False), unit=UNIT)
    assert bounding_box(mask) == ((2, 2, 2), (6, 6, 10))


def test_thin_and_cut_off_bodies_survive() -> None:
    slab = np.full((40, 40, 2), 50, dtype=np.int16)
    assert body_mask(slab[None], (True,), unit=UNIT).all()
    speck = np.full((10, 10, 10), -1000, dtype=np.int16)
    speck[5, 5, 5] = 0
    assert body_mask(speck[None], (True,), unit=UNIT).sum() == 1


def test_air_has_no_body() -> None:
    air = np.full((1, 8, 8, 8), -1000, dtype=np.int16)
    assert not body_mask(air, (True,), unit=UNIT).any()
