"""Appearance against SciPy, one crop at a time, and how often what is drawn."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from selfscan.transforms.appearance import (
    AppearanceConfig,
    AppearanceParameters,
    apply_appearance,
    draw_appearance,
)
from selfscan.transforms.random import KeyedGenerator

WINDOW = (-1350.0, 1000.0)
SHAPE = (2, 10, 9, 4)
CONFIG = AppearanceConfig()


def stored(count: int) -> Tensor:
    random = np.random.default_rng(3)
    return torch.from_numpy(random.integers(-1500, 1500, (count, *SHAPE)).astype(np.int16))


def drawn(count: int, config: AppearanceConfig = CONFIG) -> AppearanceParameters:
    random = KeyedGenerator.for_examples(11, torch.arange(count))
    return draw_appearance(random, SHAPE, config, window_hu=WINDOW)


def slowly(volume: np.ndarray, number: int, p: AppearanceParameters) -> np.ndarray:
    """One crop of two CT channels, in Hounsfield units until the end."""
    volume = volume.astype(np.float64)
    for channel in range(len(volume)):
        for n, sigma in zip(p.blurred.tolist(), p.blur.tolist(), strict=True):
            if n == number:
                volume[channel] = gaussian_filter(volume[channel], (sigma, sigma, 0))
        rows = zip(
            p.sharpened.tolist(),
            p.sharpen_blur.tolist(),
            p.sharpen_strength.tolist(),
            strict=True,
        )
        for n, sigma, strength in rows:
            if n == number:
                blurred = gaussian_filter(volume[channel], (sigma, sigma, 0))
                finer = gaussian_filter(blurred, (0.5, 0.5, 0))
                volume[channel] = blurred + strength * (blurred - finer)
    for n, noise in zip(p.noisy.tolist(), p.noise.numpy(), strict=True):
        if n == number:
            volume = volume + noise
    low, high = p.low_hu[number].item(), p.high_hu[number].item()
    return np.clip((volume - low) / (high - low), 0, 1)


def test_a_batch_equals_single_crops_in_hounsfield_units() -> None:
    volumes, parameters = stored(12), drawn(12)
    assert min(map(len, (parameters.blurred, parameters.sharpened, parameters.noisy))) > 0
    found = apply_appearance(
        volumes, torch.ones(12, 2, dtype=torch.bool), parameters, window_hu=WINDOW
    )
    for number in range(12):
        expected = slowly(volumes[number].numpy(), number, parameters)
        np.testing.assert_allclose(found[number].numpy(), expected, atol=2e-5)


def test_the_fixed_window_of_the_specification() -> None:
    values = torch.tensor([-1350, -1000, -175, 0, 40, 1000, 2000], dtype=torch.int16)
    volumes = values.view(7, 1, 1, 1, 1).expand(7, 1, 8, 8, 2)
    plain = replace(CONFIG, filter_probability=0, noise_probability=0, window_probability=0)
    random = KeyedGenerator.for_examples(0, torch.arange(7))
    parameters = draw_appearance(random, (1, 8, 8, 2), plain, window_hu=WINDOW)
    found = apply_appearance(
        volumes, torch.ones(7, 1, dtype=torch.bool), parameters, window_hu=WINDOW
    )
    assert found[:, 0, 0, 0, 0].tolist() == pytest.approx(
        [0, 0.148936, 0.5, 0.574468, 0.591489, 1, 1], abs=1e-6
    )


def test_other_channels_change_by_the_same_shares_of_their_range() -> None:
    parameters = drawn(12)
    share = torch.rand(12, *SHAPE, generator=torch.Generator().manual_seed(0))
    ct = (-1350 + 2350 * share).round().to(torch.int16)
    mr = (10_000 * (ct.float() + 1350) / 2350).round().to(torch.int16)
    yes = torch.ones(12, 2, dtype=torch.bool)
    of_ct = apply_appearance(ct, yes, parameters, window_hu=WINDOW)
    of_mr = apply_appearance(mr, ~yes, parameters, window_hu=WINDOW)
    blunt = torch.ones(12, dtype=torch.bool)
    blunt[parameters.sharpened] = False  # sharpening magnifies what rounding took
    torch.testing.assert_close(of_ct[blunt], of_mr[blunt], atol=2e-4, rtol=0)


def test_draws_have_the_published_shares_and_ranges() -> None:
    random = KeyedGenerator.for_examples(5, torch.arange(4000))
    p = draw_appearance(random, (1, 1, 1, 1), CONFIG, window_hu=WINDOW)
    assert len(p.blurred) / 4000 == pytest.approx(0.25, abs=0.03)
    assert len(p.sharpened) / 4000 == pytest.approx(0.25, abs=0.03)
    assert len(p.noisy) / 4000 == pytest.approx(0.5, abs=0.03)
    fixed = (p.low_hu == -1350) & (p.high_hu == 1000)
    assert fixed.float().mean() == pytest.approx(0.2, abs=0.03)
    for values, (low, high) in (
        (p.blur, CONFIG.blur),
        (p.sharpen_blur, CONFIG.sharpen_blur),
        (p.sharpen_strength, CONFIG.sharpen_strength),
        (p.low_hu[~fixed], CONFIG.window_low_hu),
        (p.high_hu[~fixed], CONFIG.window_high_hu),
    ):
        assert low <= values.min()
        assert values.max() <= high
        assert values.mean() == pytest.approx((low + high) / 2, abs=0.03 * (high - low))
    # A normal number times a uniform one has a variance of a third.
    assert p.noise.std() == pytest.approx(30 / 3**0.5, rel=0.06)


def test_a_crop_is_drawn_alike_in_any_batch() -> None:
    together = apply_appearance(
        stored(6), torch.ones(6, 2, dtype=torch.bool), drawn(6), window_hu=WINDOW
    )
    random = KeyedGenerator.for_examples(11, torch.tensor([4]))
    alone = apply_appearance(
        stored(6)[4:5],
        torch.ones(1, 2, dtype=torch.bool),
        draw_appearance(random, SHAPE, CONFIG, window_hu=WINDOW),
        window_hu=WINDOW,
    )
    torch.testing.assert_close(alone[0], together[4])


def test_parameters_are_tensors_alone() -> None:
    parameters = drawn(3)
    assert all(isinstance(getattr(parameters, f.name), Tensor) for f in fields(parameters))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"filter_probability": 1.5}, r"filter_probability must lie in \[0, 1\], got 1.5"),
        ({"blur": (0.5, 3.0)}, r"blur must lie in \[0, 1.5\] voxels, got \(0.5, 3.0\)"),
        ({"sharpen_strength": (3.0, 2.0)}, "sharpen_strength must not fall"),
        ({"noise_hu": -1.0}, "noise_hu must not be negative, got -1.0"),
        ({"window_low_hu": (-1000.0, 400.0)}, "window_low_hu must lie below window_high_hu"),
    ],
)
def test_values_without_a_meaning_are_refused(change, message) -> None:
    with pytest.raises(ValueError, match=message):
        replace(CONFIG, **change)
