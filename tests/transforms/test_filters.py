"""Filters against SciPy, and against the values of the specification of vox2vec."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from selfscan.transforms.filters import gaussian_blur, sharpen


def impulse(side: int, x: int, y: int) -> Tensor:
    volume = torch.zeros(1, side, side, 1, dtype=torch.float64)
    volume[0, x, y] = 1000.0
    return volume


def numbers(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_blurred_impulses_of_the_specification() -> None:
    center = gaussian_blur(impulse(15, 7, 7), numbers(1.0))[0, :, :, 0]
    found = [center[7 + x, 7 + y].item() for x, y in ((0, 0), (1, 0), (1, 1), (4, 0), (5, 0))]
    assert found == pytest.approx([159.1559, 96.5329, 58.5502, 0.0534, 0.0], abs=1e-4)
    corner = gaussian_blur(impulse(6, 0, 0), numbers(1.0))[0, :, :, 0]
    assert corner[0, 0].item() == pytest.approx(410.772, abs=1e-3)
    assert corner[0, 1].item() == pytest.approx(189.687, abs=1e-3)
    assert corner.sum().item() == pytest.approx(1000.0)


def test_sharpened_impulses_of_the_specification() -> None:
    found = sharpen(impulse(15, 7, 7), numbers(0.75), numbers(20.0))[0, 7:, 7:, 0]
    values = [found[place].item() for place in ((0, 0), (1, 0), (1, 1), (2, 0), (3, 0))]
    assert values == pytest.approx([1617.925, 301.057, -56.575, -159.357, -14.889], abs=1e-3)


@pytest.mark.parametrize(
    ("sigma", "radius"), [(0.25, 1), (0.5, 2), (0.75, 3), (1.0, 4), (1.5, 6), (0.0, 0)]
)
def test_kernels_reach_four_deviations(sigma: float, radius: int) -> None:
    touched = gaussian_blur(impulse(15, 7, 7), numbers(sigma))[0, :, 7, 0] != 0
    assert touched.nonzero()[[0, -1], 0].tolist() == [7 - radius, 7 + radius]


@pytest.mark.parametrize("axes", [(0, 1), (2,), (0, 1, 2)])
def test_each_example_has_its_own_width_and_agrees_with_scipy(axes: tuple[int, ...]) -> None:
    volumes = 300 * np.random.default_rng(0).standard_normal((4, 9, 13, 6))
    sigmas = (0.25, 1.5, 0.9, 0.0)
    found = gaussian_blur(torch.from_numpy(volumes), numbers(*sigmas), axes=axes)
    for volume, sigma, blurred in zip(volumes, sigmas, found, strict=True):
        widths = [sigma if axis in axes else 0.0 for axis in range(3)]
        np.testing.assert_allclose(blurred, gaussian_filter(volume, widths), atol=1e-9)


def test_what_is_given_stays_as_it_is() -> None:
    volumes = torch.rand(2, 8, 8, 8)
    kept = volumes.clone()
    assert torch.equal(gaussian_blur(volumes, torch.zeros(2)), kept)
    sharpen(volumes, torch.full((2,), 0.7), torch.ones(2))
    assert torch.equal(volumes, kept)


def test_without_strength_sharpening_is_a_blur() -> None:
    volumes, sigma = torch.rand(2, 8, 8, 8), torch.tensor([0.6, 1.0])
    assert torch.equal(sharpen(volumes, sigma, torch.zeros(2)), gaussian_blur(volumes, sigma))


def test_short_axes_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 6 voxels, got 5"):
        gaussian_blur(torch.rand(1, 5, 8, 8), torch.ones(1))
