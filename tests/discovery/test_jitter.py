"""Jittered boxes: the published ranges, boxes inside, draws that hear of nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from patients_store import write_store
from torch.nn import functional

from selfscan.discovery.jitter import draw_jitter
from selfscan.discovery.recipe import DiscoveryRecipe
from selfscan.scans.crops.examples import Crop
from selfscan.scans.crops.reading import read_volume
from selfscan.scans.words import Box

PUBLISHED = DiscoveryRecipe()
BASE = Box((100, 110, 30), (64, 64, 32))
ONE = (1.0, 1.0, 1.0)


def drawn(recipe: DiscoveryRecipe, count: int, shape: tuple[int, int, int]) -> list[Box]:
    boxes = [
        draw_jitter(BASE, shape, ONE, recipe, seed=5, key=(0, "scan", copy))
        for copy in range(count)
    ]
    return [box for box in boxes if box is not None]


def test_edges_and_shifts_reach_both_ends_and_z_stays() -> None:
    boxes = drawn(PUBLISHED, 10_000, (512, 512, 200))
    assert len(boxes) == 10_000
    starts = np.array([box.start for box in boxes]) - BASE.start
    extents = np.array([box.extent for box in boxes])
    assert set(extents[:, 0]) == set(range(50, 80))
    assert np.array_equal(extents[:, 0], extents[:, 1])
    for axis in (0, 1):
        assert set(starts[:, axis]) == set(range(-10, 10))
    assert abs(np.corrcoef(starts[:, 0], starts[:, 1])[0, 1]) < 0.05
    assert not starts[:, 2].any()
    assert set(extents[:, 2]) == {32}


def test_boxes_lie_inside_the_scan() -> None:
    boxes = drawn(PUBLISHED, 300, (170, 168, 62))
    past = np.array([np.add(box.start, box.extent) for box in boxes])
    assert len(boxes) == 300
    assert (past <= (170, 168, 62)).all()
    assert past[:, 0].max() == 170


def test_where_none_fits_there_is_none() -> None:
    assert drawn(PUBLISHED, 3, (100 - 10 + 49, 512, 200)) == []


def test_equal_keys_give_equal_boxes_and_each_part_of_the_key_counts() -> None:
    def box(seed: int, word: int, scan: str, copy: int) -> Box | None:
        key = (word, scan, copy)
        return draw_jitter(BASE, (512, 512, 200), ONE, PUBLISHED, seed=seed, key=key)

    first = box(1, 2, "a", 0)
    assert first == box(1, 2, "a", 0)
    others = [box(2, 2, "a", 0), box(1, 3, "a", 0), box(1, 2, "b", 0), box(1, 2, "a", 1)]
    assert first not in others


def test_ranges_follow_the_cube_and_the_spacing() -> None:
    assert DiscoveryRecipe(size=(16, 16, 16)).sides == (12, 20)
    assert DiscoveryRecipe(size=(16, 16, 16)).shifts == (-2, 2)
    recipe = DiscoveryRecipe(size=(64, 32, 32), jitter_side=(60, 60), jitter_shift=(4, 4))
    box = draw_jitter(
        Box((20, 20, 20), (32, 32, 16)), (99, 99, 99), (0.5, 1.0, 0.5), recipe,
        seed=0, key=(0, "scan", 0),
    )  # fmt: skip
    assert box == Box((22, 24, 20), (30, 30, 16))


def test_without_jitter_the_box_gives_the_cube_and_else_it_is_resized(tmp_path: Path) -> None:
    store = write_store(tmp_path, scans=1)
    size = (8, 8, 6)
    still = DiscoveryRecipe(size=size, jitter_side=(8, 8), jitter_shift=(0, 0))
    base = Box((5, 4, 3), size)
    box = draw_jitter(base, store[0].shape, ONE, still, seed=0, key=(0, "scan-00", 0))
    assert box == base
    for side in range(6, 11):
        extent = (side, side, 6)
        stored = store.read(0, base.start, extent)
        resized = read_volume(store, Crop(0, base.start, size, extent=extent))
        expected = functional.interpolate(
            torch.from_numpy(stored)[None].double(), size, mode="trilinear", align_corners=False
        )
        if side == 8:
            assert np.array_equal(resized, stored)
        if side <= 8:  # larger boxes are averaged a little first, as in the release
            assert np.abs(resized - expected[0].numpy()).max() <= 0.5 + 1e-2
