"""Inner cut-out: the published boxes, noise and swaps, on crops of any size and any device."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from selfscan.transforms import cutout, listing
from selfscan.transforms.box_noise import listed_normal
from selfscan.transforms.cutout import (
    CutoutConfig,
    CutoutParameters,
    apply_cutout,
    draw_cutout,
    within_budget,
)
from selfscan.transforms.listing import write_last_in_parallel
from selfscan.transforms.random import KeyedGenerator
from selfscan.transforms.windows import Size, Windows

PUBLISHED = (96, 96, 96)
NOISE_ALONE = CutoutConfig(swap=False)
RELEASED = CutoutConfig(shortest_edge=1, swap_from="running")


def random_for(*examples: int, device: str = "cpu") -> KeyedGenerator:
    return KeyedGenerator.for_examples(7, torch.tensor(examples, device=device))


def dark(examples: int, size: Size, channels: int = 1) -> Tensor:
    """Crops of -1, -2, ...: cut-out voxels hold noise from 0 to 1 or another crop's number."""
    numbers = -1.0 - torch.arange(examples).view(-1, 1, 1, 1, 1)
    return numbers.expand(examples, channels, *size).clone()


def regions(windows: Windows, example: int) -> list[tuple[slice, ...]]:
    """The boxes that are cut out, as slices of (C, X, Y, Z)."""
    starts, sizes = windows.starts[example].tolist(), windows.sizes[example].tolist()
    return [
        (slice(None), *(slice(a, a + n) for a, n in zip(start, size, strict=True)))
        for start, size in zip(starts, sizes, strict=True)
        if math.prod(size)
    ]


def masks(windows: Windows, size: Size) -> Tensor:
    """Voxels in any box, shape (B, 1, X, Y, Z)."""
    inside = torch.zeros(len(windows.starts), 1, *size, dtype=torch.bool)
    for example, mask in enumerate(inside):
        for region in regions(windows, example):
            mask[region] = True
    return inside


def swapped_one_by_one(
    clean: Tensor, noised: Tensor, p: CutoutParameters, *, sources: str
) -> Tensor:
    """The second pass, one crop after another; `sources` as `CutoutConfig.swap_from`."""
    crops = clean.clone()
    for row, donor in enumerate(p.donors.tolist()):
        crops[row] = noised[row]
        for region in regions(p.swap, row):
            crops[row][region] = (crops if sources == "running" else noised)[donor][region]
    return crops


def within_standard_errors(values: Sequence[float] | Tensor, published: float, draws: int) -> bool:
    """Whether the mean agrees with a published one over so many draws, to 3 standard errors."""
    numbers = torch.as_tensor(values, dtype=torch.float64)
    error = numbers.std().item() * math.sqrt(1 / len(numbers) + 1 / draws)
    return abs(numbers.mean().item() - published) < 3 * error


@pytest.mark.parametrize(
    ("edge", "budget", "counted", "boxes", "voxels", "first"),
    [
        (96, 145666.519, 146725, 68, 130028, [[64, 67, 67], [75, 80, 90]]),
        (64, 43160.450, 43407, 77, 38512, [[53, 0, 3], [64, 6, 13]]),
        (32, 5395.056, 5434, 96, 4972, [[21, 0, 3], [25, 4, 5]]),
    ],
)
def test_boxes_drawn_as_in_the_release_cover_what_they_cover_there(
    edge: int, budget: float, counted: int, boxes: int, voxels: int, first: list[list[int]]
) -> None:
    size = (edge, edge, edge)
    (low, high), *_ = RELEASED.edges(size)
    random = np.random.RandomState(0)
    drawn_budget = random.uniform(0, 0.3) * edge**3
    drawn = [
        [random.randint(0, edge - low, 3), random.randint(low, high + 1, 3)] for _ in range(200)
    ]
    assert drawn_budget == pytest.approx(budget, abs=1e-3)

    starts, sizes = torch.tensor(np.array(drawn)).unbind(1)
    swap = within_budget(Windows(starts, sizes), size, torch.tensor(drawn_budget))
    assert swap.sizes.prod(1).sum() == counted
    assert (swap.sizes.prod(1) > 0).sum() == boxes
    assert [swap.starts[0].tolist(), (swap.starts + swap.sizes)[0].tolist()] == first

    nothing = torch.zeros(2, 200, 3, dtype=torch.int64)
    parameters = CutoutParameters(
        noise=Windows(nothing, nothing),
        seeds=torch.zeros(2, 200, dtype=torch.int64),
        swap=Windows(torch.stack([swap.starts, nothing[0]]), torch.stack([swap.sizes, nothing[0]])),
        donors=torch.tensor([1, 1]),
    )
    crops = torch.stack([torch.zeros(1, *size), torch.ones(1, *size)])
    for config in (CutoutConfig(), RELEASED):
        cut = apply_cutout(crops, parameters, config)
        assert cut[0].sum() == voxels
        assert torch.equal(cut[1], crops[1])


def test_drawn_boxes_have_the_published_statistics() -> None:
    drawn = draw_cutout(random_for(*range(1000)), PUBLISHED, CutoutConfig())
    volumes = drawn.noise.sizes.prod(2)
    boxes = (volumes > 0).sum(1)
    assert within_standard_errors(volumes.sum(1) / 96**3, 0.148, 2000)
    assert within_standard_errors(boxes, 61.5, 2000)
    assert boxes.double().quantile(0.05).item() == pytest.approx(6, abs=2)
    assert boxes.double().quantile(0.95).item() == pytest.approx(120, abs=4)
    assert volumes.sum(1).max() / 96**3 == pytest.approx(0.304, abs=0.008)
    # Of those it draws, boxes never run out.
    assert boxes.max() < 0.75 * volumes.shape[1]
    assert drawn.noise.sizes.amax((0, 1)).tolist() == [23, 23, 23]
    assert drawn.noise.sizes[volumes > 0].min() == 4
    assert (drawn.noise.starts + drawn.noise.sizes).max() == 96
    assert drawn.noise.starts.amax((0, 1)).tolist() == [91, 91, 91]
    apart = (drawn.noise.starts[:, :9] != drawn.swap.starts[:, :9]).any(2).double().mean()
    assert apart > 0.99


@pytest.mark.slow
def test_cut_out_voxels_have_the_published_statistics() -> None:
    one, two, swapped, here = [], [], [], {}
    for first in range(0, 160, 4):
        parameters = draw_cutout(random_for(*range(first, first + 4)), PUBLISHED, CutoutConfig())
        crops = dark(4, PUBLISHED)
        noised = apply_cutout(crops, parameters, NOISE_ALONE)
        cut = apply_cutout(crops, parameters, CutoutConfig())
        one.append((noised != crops).double().mean((1, 2, 3, 4)))
        both = (cut != crops).double().mean((1, 2, 3, 4))
        taken = parameters.donors != torch.arange(4)
        two.append(both[taken])
        swapped.append(both)
        middle, low, high = slice(40, 56), slice(0, 4), slice(92, 96)
        for name, region in {
            "center": (middle, middle, middle),
            "low face": (low,),
            "high face": (high,),
            "low corner": (low, low, low),
            "high corner": (high, high, high),
        }.items():
            share = (noised >= 0)[(slice(None), 0, *region)].flatten(1).double().mean(1)
            here.setdefault(name, []).append(share)
    assert within_standard_errors(torch.cat(one), 0.1326, 2000)
    assert torch.cat(one).std().item() == pytest.approx(0.074, abs=0.012)
    assert torch.cat(one).max() < 0.27
    assert within_standard_errors(torch.cat(two), 0.251, 1000)
    assert within_standard_errors(torch.cat(swapped), 0.22, 1000)
    for name, published in {
        "center": 0.174,
        "low face": 0.031,
        "high face": 0.124,
        "high corner": 0.091,
    }.items():
        assert within_standard_errors(torch.cat(here[name]), published, 2000)
    assert torch.cat(here["low corner"]).mean() < 0.005
    noise = noised[noised >= 0].double()
    assert noise.mean().item() == pytest.approx(0.498, abs=0.006)
    assert noise.std().item() == pytest.approx(0.144, abs=0.006)


@pytest.mark.parametrize("channels", [1, 2])
def test_noise_fills_boxes_one_after_another(channels: int) -> None:
    size = (40, 32, 24)
    parameters = draw_cutout(random_for(0, 1, 2), size, NOISE_ALONE)
    crops = dark(3, size, channels)
    cut = apply_cutout(crops, parameters, NOISE_ALONE)
    assert torch.equal(crops, dark(3, size, channels))
    expected = crops.clone()
    for example in range(3):
        for number, region in enumerate(regions(parameters.noise, example)):
            box = expected[example][region]
            seed, length = parameters.seeds[example, number : number + 1], box.numel()
            noise = listed_normal(seed, torch.tensor([length]), length)
            box.copy_(((noise - noise.min()) / (noise.max() - noise.min())).view_as(box))
        assert (box.min(), box.max()) == (0, 1)
    assert torch.equal(cut, expected)
    assert torch.equal(cut >= 0, masks(parameters.noise, size).expand_as(cut))
    if channels == 2:
        assert (cut[:, 0] != cut[:, 1])[(cut >= 0)[:, 0]].double().mean() > 0.99


def test_pooled_noise_is_scaled_alike_in_all_boxes() -> None:
    config, size = replace(NOISE_ALONE, noise="pooled"), (48, 48, 48)
    parameters = draw_cutout(random_for(*range(8)), size, config)
    crops = dark(8, size, 2)
    cut = apply_cutout(crops, parameters, config)
    noise = cut[cut >= 0].double()
    assert torch.equal(cut >= 0, masks(parameters.noise, size).expand_as(cut))
    assert torch.equal(cut[cut < 0], crops[cut < 0])
    assert noise.mean().item() == pytest.approx(0.5, abs=0.002)
    assert noise.std().item() == pytest.approx(0.144, abs=0.002)
    assert noise.max() <= 1


@pytest.mark.parametrize("swap_from", ["snapshot", "running"])
def test_boxes_are_taken_from_the_donor(swap_from: Any) -> None:
    size = (40, 32, 24)
    config = CutoutConfig(swap_from=swap_from)
    parameters = draw_cutout(random_for(*range(6)), size, config)
    donors = torch.tensor([3, 0, 2, 1, 0, 2])
    taken = (donors != torch.arange(6))[:, None, None]
    parameters = replace(
        parameters,
        swap=Windows(parameters.noise.starts.flip(0), parameters.noise.sizes.flip(0) * taken),
        donors=donors,
    )
    crops = random_for(*range(6)).uniform(2, *size) - 2
    noised = apply_cutout(crops, parameters, NOISE_ALONE)
    expected = swapped_one_by_one(crops, noised, parameters, sources=swap_from)
    cut = apply_cutout(crops, parameters, config)
    assert torch.equal(cut, expected)
    assert not torch.equal(cut, noised)
    untouched = ~(masks(parameters.noise, size) | masks(parameters.swap, size)).expand_as(cut)
    assert torch.equal(cut[untouched], crops[untouched])


def test_from_a_snapshot_the_order_of_the_batch_has_no_effect() -> None:
    size, config = (24, 24, 24), CutoutConfig()
    p = draw_cutout(random_for(0, 1, 2), size, config)
    turned = CutoutParameters(
        Windows(p.noise.starts.flip(0), p.noise.sizes.flip(0)),
        p.seeds.flip(0),
        Windows(p.swap.starts.flip(0), p.swap.sizes.flip(0)),
        2 - p.donors.flip(0),
    )
    crops = random_for(0, 1, 2).uniform(1, *size)
    there = apply_cutout(crops.flip(0), turned, config)
    assert torch.equal(there.flip(0), apply_cutout(crops, p, config))


def test_one_crop_alone_is_never_swapped() -> None:
    for example in range(20):
        parameters = draw_cutout(random_for(example), (32, 32, 32), CutoutConfig())
        assert not parameters.swap.sizes.any()
        crops = torch.rand(1, 1, 32, 32, 32)
        for config in (CutoutConfig(), CutoutConfig(swap_from="running")):
            cut = apply_cutout(crops, parameters, config)
            assert torch.equal(cut, apply_cutout(crops, parameters, NOISE_ALONE))


def test_all_crops_of_a_batch_are_donors_equally_often() -> None:
    donors = draw_cutout(random_for(*range(4000)), (8, 8, 8), CutoutConfig()).donors
    counts = torch.bincount(donors // 1000, minlength=4)
    assert donors.max() < 4000
    assert len(counts) == 4
    assert (counts - 1000).square().sum() / 1000 < 16.3  # 0.1 %, 3 degrees of freedom
    drawn = draw_cutout(random_for(*range(4)), (8, 8, 8), CutoutConfig())
    assert torch.equal(drawn.swap.sizes.any(2).any(1), drawn.donors != torch.arange(4))


def test_donors_are_of_the_same_view() -> None:
    random = random_for(*range(500)).split(2)
    donors = draw_cutout(random, (8, 8, 8), CutoutConfig(), views=2).donors
    assert torch.equal(donors % 2, torch.arange(1000) % 2)
    assert 0 <= donors.min() < 50
    assert 950 < donors.max() < 1000


@pytest.mark.parametrize("noise", ["per_box", "pooled"])
def test_an_example_is_cut_the_same_alone_and_among_others(noise: Any) -> None:
    config, size = CutoutConfig(noise=noise), (24, 20, 16)
    together = draw_cutout(random_for(4, 5, 6), size, config)
    crops = random_for(4, 5, 6).uniform(2, *size)
    alone_config = replace(config, swap=False)
    cut = apply_cutout(crops, together, alone_config)
    for row, example in enumerate((4, 5, 6)):
        here, alone = slice(row, row + 1), draw_cutout(random_for(example), size, config)
        assert torch.equal(alone.noise.starts, together.noise.starts[here])
        assert torch.equal(alone.noise.sizes, together.noise.sizes[here])
        assert torch.equal(alone.seeds, together.seeds[here])
        assert torch.equal(alone.swap.starts, together.swap.starts[here])
        assert torch.equal(apply_cutout(crops[here], alone, alone_config), cut[here])


@pytest.mark.parametrize(
    "size",
    [(e, e, e) for e in (4, 8, 16, 20, 32)] + [(64, 64, 32), (3, 4, 50)],
)
@pytest.mark.parametrize("shortest_edge", [1, 2])
def test_small_crops_are_cut_too(size: Size, shortest_edge: int) -> None:
    config = CutoutConfig(shortest_edge=shortest_edge)
    parameters = draw_cutout(random_for(*range(12)), size, config)
    crops = dark(12, size)
    cut = apply_cutout(crops, parameters, config)
    assert cut.isfinite().all()
    assert torch.equal(cut >= 0, (cut >= 0) & (cut <= 1))
    counted = parameters.noise.sizes.prod(2).sum(1)
    assert (counted > 0).all()
    assert counted.max() <= config.most_voxels(size)
    assert torch.equal(
        (apply_cutout(crops, parameters, replace(config, swap=False)) >= 0),
        masks(parameters.noise, size),
    )


def test_a_box_of_one_voxel_is_gray() -> None:
    config = CutoutConfig(shortest_edge=1, swap=False)
    cut = apply_cutout(
        dark(3, (8, 8, 8)), draw_cutout(random_for(0, 1, 2), (8, 8, 8), config), config
    )
    assert set(cut[cut >= 0].tolist()) == {0.5}


def test_without_a_budget_nothing_is_cut() -> None:
    config = CutoutConfig(max_drop=0)
    crops = dark(3, (16, 16, 16))
    drawn = draw_cutout(random_for(0, 1, 2), (16, 16, 16), config)
    assert torch.equal(apply_cutout(crops, drawn, config), crops)


def test_no_examples_give_no_volumes() -> None:
    random = KeyedGenerator(torch.zeros(0, dtype=torch.int64))
    drawn = draw_cutout(random, (16, 16, 16), CutoutConfig())
    empty = torch.zeros(0, 1, 16, 16, 16)
    assert apply_cutout(empty, drawn, CutoutConfig()).shape == empty.shape


@pytest.mark.parametrize("noise", ["per_box", "pooled"])
@pytest.mark.parametrize("swap_from", ["snapshot", "running"])
def test_lists_of_a_length_known_before_give_the_same(
    noise: Any, swap_from: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, size = CutoutConfig(noise=noise, swap_from=swap_from), (32, 24, 20)
    parameters = draw_cutout(random_for(*range(5)), size, config)
    crops = random_for(*range(5)).uniform(2, *size)
    expected = apply_cutout(crops, parameters, config)
    monkeypatch.setattr(listing, "_list_length", lambda lengths, most: most)
    monkeypatch.setattr(cutout, "write_last", write_last_in_parallel)
    assert torch.equal(apply_cutout(crops, parameters, config), expected)


class Operations(TorchDispatchMode):
    """Counts the operations that run inside."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.counts[str(func)] += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.slow
def test_a_device_is_never_waited_for_and_runs_as_much_for_any_batch() -> None:
    counts = []
    for examples in (2, 8):
        # A tensor of the device `meta` has no values, so to look at one fails.
        crops = torch.zeros(examples, 1, *PUBLISHED, device="meta")
        random = random_for(*range(examples), device="meta")
        with Operations() as operations:
            parameters = draw_cutout(random, PUBLISHED, CutoutConfig())
            cut = apply_cutout(crops, parameters, CutoutConfig())
        assert cut.shape == crops.shape
        counts.append(operations.counts)
    assert counts[0] == counts[1]


def test_crops_too_small_for_boxes_are_refused() -> None:
    CutoutConfig().check_size((3, 3, 3))
    CutoutConfig(shortest_edge=1).check_size((2, 2, 2))
    with pytest.raises(ValueError, match="axis y of 2 voxels is too short: the shortest box"):
        CutoutConfig().check_size((4, 2, 4))
    with pytest.raises(ValueError, match="axis z of 8 voxels is too short"):
        draw_cutout(random_for(0), (16, 16, 8), CutoutConfig(shortest_edge=8))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_drop": 1.0}, r"max_drop must lie in \[0, 1\), got 1.0"),
        ({"max_block": 0.01}, "blocks must be .* got 0.05 and 0.01"),
        ({"min_block": -0.1}, "blocks must be .* got -0.1 and 0.25"),
        ({"shortest_edge": 0}, "shortest_edge must be at least 1 voxel, got 0"),
        ({"noise": "white"}, "noise must be one of per_box, pooled, got 'white'"),
        ({"swap_from": "clean"}, "swap_from must be one of snapshot, running, got 'clean'"),
    ],
)
def test_values_without_a_meaning_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CutoutConfig(**arguments)
