"""Noise of boxes: normal, another one for every seed, scaled box by box."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from selfscan.transforms.box_noise import listed_normal, scale_boxes


def test_numbers_are_standard_normal() -> None:
    seeds = torch.arange(100) * 1_000_003
    noise = listed_normal(seeds, torch.full((100,), 1000), 100_000)
    assert stats.kstest(noise.double().numpy(), "norm").pvalue > 0.01
    assert stats.kurtosis(noise.double().numpy()) == pytest.approx(0, abs=0.06)
    rows = noise.view(100, 1000)
    assert torch.corrcoef(rows).fill_diagonal_(0).abs().max() < 0.15
    neighbors = torch.corrcoef(torch.stack([noise[:-1], noise[1:]]))[0, 1]
    assert abs(neighbors.item()) < 0.01


def test_numbers_of_a_box_depend_on_its_seed_only() -> None:
    seeds, lengths = torch.tensor([7, -5, 3, 7]), torch.tensor([4, 0, 2, 6])
    together = listed_normal(seeds, lengths, 15)
    assert together.shape == (15,)
    assert torch.equal(together[:4], together[6:10])
    assert torch.equal(together[4:6], listed_normal(seeds[2:3], lengths[2:3], 2))


def test_extremes_of_each_box_become_0_and_1() -> None:
    noise = torch.tensor([1.0, -1.0, 2.0, 0.5, 3.0, 7.0, 4.0])
    boxes = torch.tensor([0, 0, 0, 3, 1, 1, 1])
    expected = [2 / 3, 0, 1, 0.5, 0, 1, 0.25]
    assert scale_boxes(noise, boxes, 5).tolist() == pytest.approx(expected, abs=1e-7)


def test_any_scaled_box_reaches_exactly_0_and_1_and_a_single_number_one_half() -> None:
    lengths = torch.arange(1, 301)
    boxes = torch.arange(300).repeat_interleave(lengths)
    noise = scale_boxes(listed_normal(torch.arange(300), lengths, len(boxes)), boxes, 300)
    assert noise[0] == 0.5
    for box in noise.split(lengths.tolist())[1:]:
        assert box.min() == 0
        assert box.max() == 1
