from __future__ import annotations

from typing import Any

import numpy as np


def test_two_lungs_of_air_around_the_heart(torsos: list[Any]) -> None:
    for torso in torsos:
        lungs, middle = torso.places("lungs"), torso.center("spine")[0]
        right = (lungs[:, 0] > middle).mean()
        assert 0.45 < right < 0.65
        assert 2500 < torso.milliliters("lungs") < 6500
        assert -880 < np.median(torso.hu("lungs")) < -780
        low, high = lungs[:, 2].min(), lungs[:, 2].max()
        assert low < torso.center("heart")[2] < high


def test_the_heart_lies_to_the_left_and_in_front_of_the_spine(torsos: list[Any]) -> None:
    for torso in torsos:
        heart, spine = torso.center("heart"), torso.center("spine")
        assert heart[0] < spine[0] - 5
        assert heart[1] > spine[1] + 40
        assert 300 < torso.milliliters("heart") < 900
        apex = torso.places("heart")[torso.places("heart")[:, 1].argmax()]
        assert apex[0] < heart[0]


def test_the_back_of_the_lung_is_denser(torsos: list[Any]) -> None:
    for torso in torsos:
        heights, hu = torso.places("lungs")[:, 1], torso.hu("lungs")
        back, front = heights < np.quantile(heights, 0.3), heights > np.quantile(heights, 0.7)
        assert np.median(hu[back]) > np.median(hu[front]) + 15
