"""Stored intensities to [0, 1]: by window for CT, by percentiles for the rest."""

from __future__ import annotations

import pytest
import torch

from selfscan.scans.contract import UNIT
from selfscan.transforms.intensity import STORED_UNIT, to_unit, unit_levels

CT = torch.tensor([[True]])
MR = torch.tensor([[False]])
BOTH = torch.tensor([[True, False]])


def line(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.int16).view(1, 1, 1, 1, -1)


def test_the_unit_is_that_of_the_store() -> None:
    assert STORED_UNIT == UNIT


def test_ct_is_windowed() -> None:
    units = to_unit(line(-2000, -1000, -150, 0, 40, 1000, 3000), CT, window_hu=(-1000, 1000))
    assert units.dtype == torch.float32
    assert torch.equal(units.flatten(), torch.tensor([0, 0, 0.425, 0.5, 0.52, 1, 1]))


def test_another_window_gives_other_values() -> None:
    units = to_unit(line(-1350, -175, 40, 1000), CT, window_hu=(-1350.0, 1000.0))
    assert torch.allclose(units.flatten(), torch.tensor([0, 0.5, 0.591489, 1]), atol=1e-6)


def test_percentile_scaled_channels_lie_between_zero_and_the_unit() -> None:
    units = to_unit(line(-20_000, 0, 2_500, 10_000, 30_000), MR, window_hu=(-1000, 1000))
    assert torch.equal(units.flatten(), torch.tensor([0, 0, 0.25, 1, 1]))


def test_each_channel_has_its_own_rule() -> None:
    volumes = line(0, 1000).repeat(1, 2, 1, 1, 1)
    units = to_unit(volumes, BOTH, window_hu=(-1000, 1000))
    assert torch.equal(units[0, :, 0, 0], torch.tensor([[0.5, 1.0], [0.0, 0.1]]))


def test_the_input_is_left_alone() -> None:
    volumes = line(-2000, 0)
    to_unit(volumes, CT, window_hu=(-1000, 1000))
    assert torch.equal(volumes, line(-2000, 0))


def test_a_window_that_does_not_rise_is_refused() -> None:
    with pytest.raises(ValueError, match=r"window_hu must rise, got \(100, 100\)"):
        to_unit(line(0), CT, window_hu=(100, 100))


@pytest.mark.parametrize(
    ("hounsfield", "window_hu", "levels"),
    [
        (CT, (-1000.0, 1000.0), 2_000),
        (CT, (-1024.0, 1024.0), 2_048),
        (MR, (-1000.5, 1000.0), 10_000),
        (BOTH, (-1000.0, 1000.0), 10_000),
        (BOTH, (-1024.0, 1024.0), 1_280_000),
        (CT, (-1000.5, 1000.0), None),
        (CT, (-1000.5, 1000.5), None),
    ],
)
def test_levels_are_those_of_whole_stored_numbers(
    hounsfield: torch.Tensor, window_hu: tuple[float, float], levels: int | None
) -> None:
    assert unit_levels(hounsfield, window_hu=window_hu) == levels
    if levels is not None:
        volumes = torch.arange(-1100, 1100, dtype=torch.int16).view(1, 1, 1, 1, -1)
        volumes = volumes.repeat(1, hounsfield.shape[1], 1, 1, 1)
        steps = to_unit(volumes, hounsfield, window_hu=window_hu).double() * levels
        assert torch.allclose(steps, steps.round(), atol=levels * 6e-8)
