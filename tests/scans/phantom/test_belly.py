from __future__ import annotations

from typing import Any

import numpy as np
import pytest


def test_liver_right_spleen_and_stomach_left(torsos: list[Any]) -> None:
    for torso in torsos:
        liver, spleen, stomach, spine = (
            torso.center(organ) for organ in ("liver", "spleen", "stomach", "spine")
        )
        assert spleen[0] < stomach[0] < spine[0] < liver[0]
        assert spleen[1] < stomach[1]


def test_from_head_to_foot(torsos: list[Any]) -> None:
    for torso in torsos:
        heights = [
            torso.center(organ)[2]
            for organ in ("lungs", "heart", "liver", "kidney_right", "bladder")
        ]
        assert heights == sorted(heights, reverse=True)
        assert torso.places("bladder")[:, 2].max() < torso.places("lungs")[:, 2].min()


def test_the_liver_lies_under_the_dome_of_the_right_lung(torsos: list[Any]) -> None:
    for torso in torsos:
        top = torso.places("liver")[torso.places("liver")[:, 2].argmax()]
        lungs = torso.places("lungs")
        above = lungs[(np.abs(lungs[:, :2] - top[:2]) < 6).all(axis=1)]
        assert len(above) > 5
        assert above[:, 2].min() > top[2] - 1


def test_kidneys_beside_the_spine_the_right_one_lower(torsos: list[Any]) -> None:
    for torso in torsos:
        right, left = torso.center("kidney_right"), torso.center("kidney_left")
        spine = torso.places("spine")
        middle = spine[np.abs(spine[:, 2] - (right[2] + left[2]) / 2) < 20, 0].mean()
        assert 40 < right[0] - middle < 95
        assert 40 < middle - left[0] < 95
        assert right[2] < left[2] + 3
        assert right[1] < torso.center("liver")[1]


def test_gas_in_the_stomach_floats_on_a_level_fluid(torsos: list[Any]) -> None:
    for torso in torsos:
        heights, hu = torso.places("stomach")[:, 1], torso.hu("stomach")
        gas, fluid = heights[hu < -700], heights[np.abs(hu - 24) < 60]
        if len(gas) > 20:
            # Fluid may lie beside the gas only within the wall.
            assert np.quantile(gas, 0.1) > np.quantile(fluid, 0.6)


@pytest.mark.parametrize(
    ("organ", "milliliters", "hu"),
    [
        ("liver", (1000, 2400), (40, 130)),
        ("spleen", (60, 320), (30, 150)),
        ("kidney_right", (80, 260), (15, 220)),
        ("kidney_left", (80, 260), (15, 220)),
        ("stomach", (200, 800), (-950, 100)),
        ("bladder", (100, 400), (-5, 50)),
    ],
)
def test_organs_have_the_size_and_the_hu_of_real_ones(
    torsos: list[Any], organ: str, milliliters: tuple[float, float], hu: tuple[float, float]
) -> None:
    for torso in torsos:
        assert milliliters[0] < torso.milliliters(organ) < milliliters[1]
        assert hu[0] < np.median(torso.hu(organ)) < hu[1]


def test_the_lower_belly_is_not_empty(torsos: list[Any]) -> None:
    for torso in torsos:
        x, _, z = torso.center("bladder")
        spine = torso.center("spine")
        corner = np.linalg.inv(torso.scan.affine)
        low = (corner @ [x - 70, spine[1] + 40, z + 60, 1])[:3].astype(int)
        high = (corner @ [x + 70, spine[1] + 100, z + 130, 1])[:3].astype(int)
        box = torso.scan.volume[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
        assert 0.15 < ((box > -20) & (box < 200)).mean() < 0.95
        assert (box < -60).mean() > 0.03
