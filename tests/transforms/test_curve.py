"""Intensity curves: the values of the method page, monotone, and exact against bisection."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from selfscan.transforms.curve import CurveParameters, apply_curve, draw_curve
from selfscan.transforms.random import KeyedGenerator


def curve(*controls: float, falling: bool = False) -> CurveParameters:
    return CurveParameters(torch.tensor([controls]), torch.tensor([falling]))


def mapped(values: list[float], parameters: CurveParameters) -> list[float]:
    result: list[float] = apply_curve(torch.tensor([values]), parameters)[0].tolist()
    return result


def random_curves(count: int) -> CurveParameters:
    return draw_curve(KeyedGenerator.for_examples(5, torch.arange(count)))


def by_bisection(values: Tensor, parameters: CurveParameters) -> Tensor:
    """The curve in float64, by halving the interval of s: slow, and a different algorithm."""
    v = values.double().clamp(0, 1)
    x1, y1, x2, y2 = parameters.controls.double()[..., None].unbind(1)
    s = torch.zeros_like(v)
    for bit in range(1, 54):
        t = s + 2.0**-bit
        x = 3 * x1 * t * (1 - t) ** 2 + 3 * x2 * t**2 * (1 - t) + t**3
        s = torch.where(x <= v, t, s)
    rising = 3 * y1 * s * (1 - s) ** 2 + 3 * y2 * s**2 * (1 - s) + s**3
    falling = (1 - s) ** 3 + 3 * y2 * s * (1 - s) ** 2 + 3 * y1 * s**2 * (1 - s)
    return torch.where(parameters.falling[:, None], falling, rising)


def test_end_points_are_kept_rising_and_swapped_falling() -> None:
    parameters = random_curves(50)
    ends = apply_curve(torch.tensor([0.0, 1.0]).repeat(50, 1), parameters)
    falling = parameters.falling.float()
    assert torch.allclose(ends, torch.stack((falling, 1 - falling), dim=1), atol=1e-6)


def test_evenly_spaced_controls_give_a_polynomial_of_the_intensity() -> None:
    third = 1 / 3
    values = [0.0, 0.1, 0.25, 0.5, 0.77, 1.0]
    assert mapped(values, curve(third, third, 2 / 3, 2 / 3)) == pytest.approx(values, abs=1e-6)
    s_shape = curve(third, 1.0, 2 / 3, 0.0)
    assert mapped([0.25, 0.5], s_shape) == pytest.approx([0.4375, 0.5], abs=1e-6)
    assert mapped([0.25], curve(third, 1.0, 2 / 3, 1.0)) == pytest.approx([0.578125], abs=1e-6)


def test_a_curve_that_starts_upright_is_solved() -> None:
    # x1 = x2 = 0 and y1 = y2 = 1: v becomes 1 - (1 - v^(1/3))^3.
    upright = curve(0.0, 1.0, 0.0, 1.0)
    assert mapped([0.125, 0.5], upright) == pytest.approx([0.875, 0.99122], abs=2e-6)


def test_a_curve_rises_and_falls_by_the_published_values() -> None:
    values, controls = [0.1, 0.25, 0.9], (0.25, 0.75, 0.75, 0.25)
    rising = [0.220423, 0.385288, 0.779577]
    assert mapped(values, curve(*controls)) == pytest.approx(rising, abs=1e-6)
    falling = mapped(values[:2], curve(*controls, falling=True))
    assert falling == pytest.approx([0.779577, 0.614712], abs=1e-6)


def test_a_curve_without_symmetry_has_the_values_of_the_other_methods_page() -> None:
    # TransVW, whose curves are the same; and GVSL, whose curves always rise.
    values = [0, 0.1, 0.25, 0.5, 0.75, 0.9, 1]
    controls = (0.2, 0.7, 0.9, 0.4)
    rising = [0, 0.225055, 0.385928, 0.521924, 0.634886, 0.759667, 1]
    falling = [1, 0.808652, 0.673237, 0.552818, 0.430940, 0.283236, 0]
    assert mapped(values, curve(*controls)) == pytest.approx(rising, abs=2e-6)
    assert mapped(values, curve(*controls, falling=True)) == pytest.approx(falling, abs=2e-6)
    gvsl = mapped([-0.5, 0.1, 0.5, 0.9, 1.7], curve(0.2, 0.8, 0.6, 0.3))
    assert gvsl == pytest.approx([0, 0.275482, 0.563908, 0.848403, 1], abs=2e-6)


def test_random_curves_are_exact_everywhere() -> None:
    parameters = random_curves(100)
    random = KeyedGenerator.for_examples(6, torch.arange(100))
    even = torch.linspace(0, 1, 201).repeat(100, 1)
    values = torch.cat([random.uniform(200), even, random.uniform(50) * 1e-3], dim=1)
    error = apply_curve(values, parameters).double() - by_bisection(values, parameters)
    assert error.abs().max() < 2e-6


def test_random_curves_are_monotone() -> None:
    parameters = random_curves(100)
    values = apply_curve(torch.linspace(0, 1, 1_001).repeat(100, 1), parameters)
    steps = values.diff(dim=1) * (1 - 2 * parameters.falling.float())[:, None]
    assert steps.min() > -3e-7  # rounding
    assert (values.amax(1) - values.amin(1)).min() > 1 - 1e-6


@pytest.mark.parametrize("levels", [100, 2_000])
def test_levels_change_the_work_and_not_a_bit_of_the_result(levels: int) -> None:
    parameters = random_curves(3)
    whole = KeyedGenerator.for_examples(2, torch.arange(3)).integers(0, levels, 1, 17, 13, 11)
    volumes = whole.float() / levels
    expected = apply_curve(volumes, parameters)
    assert torch.equal(apply_curve(volumes, parameters, levels=levels), expected)
    assert torch.equal(apply_curve(volumes, parameters, levels=10**6), expected)


def test_an_example_is_mapped_the_same_alone_and_among_others() -> None:
    parameters = random_curves(5)
    volumes = KeyedGenerator.for_examples(9, torch.arange(5)).uniform(2, 11, 13, 7)
    together = apply_curve(volumes, parameters)
    for row in range(5):
        one = slice(row, row + 1)
        alone = CurveParameters(parameters.controls[one], parameters.falling[one])
        assert torch.equal(apply_curve(volumes[one], alone), together[one])


def test_draws_are_uniform_and_half_of_them_fall() -> None:
    parameters = random_curves(20_000)
    assert torch.allclose(parameters.controls.mean(0), torch.full((4,), 0.5), atol=0.0082)
    assert parameters.controls.T.corrcoef().fill_diagonal_(0).abs().max() < 0.0283
    assert parameters.falling.float().mean().item() == pytest.approx(0.5, abs=0.0142)
    rising = draw_curve(KeyedGenerator(torch.arange(500)), falling_probability=0.0)
    assert not rising.falling.any()


def test_no_examples_give_no_volumes() -> None:
    empty = torch.zeros(0, 1, 4, 4, 4)
    none = CurveParameters(torch.zeros(0, 4), torch.zeros(0, dtype=torch.bool))
    assert apply_curve(empty, none, levels=10).shape == empty.shape
    assert apply_curve(empty, none).shape == empty.shape
