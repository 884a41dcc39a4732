"""In-painting and out-painting: what is painted, with what, how much, how often."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from selfscan.transforms.masking import (
    Fill,
    PaintParameters,
    apply_inpainting,
    apply_outpainting,
    draw_painting,
    inpainting_range,
    outpainting_range,
)
from selfscan.transforms.random import KeyedGenerator
from selfscan.transforms.windows import Windows

PUBLISHED = (64, 64, 32)


def random_for(*examples: int) -> KeyedGenerator:
    return KeyedGenerator.for_examples(13, torch.tensor(examples))


def dark(examples: int, channels: int = 1, size: tuple[int, int, int] = PUBLISHED) -> Tensor:
    """Volumes of -1: painted voxels are those that are not negative."""
    return torch.full((examples, channels, *size), -1.0)


def inpainting(*examples: int) -> PaintParameters:
    return draw_painting(random_for(*examples), inpainting_range(PUBLISHED))


def outpainting(*examples: int) -> PaintParameters:
    return draw_painting(random_for(*examples), outpainting_range(PUBLISHED), least=1)


def inside(parameters: PaintParameters, example: int, size: tuple[int, int, int]) -> Tensor:
    """Voxels in the windows that count, painted one window after another."""
    mask = torch.zeros(size, dtype=torch.bool)
    windows = parameters.windows
    for number in range(int(parameters.used[example])):
        (x, y, z), (a, b, c) = windows.starts[example, number], windows.sizes[example, number]
        mask[x : x + a, y : y + b, z : z + c] = True
    return mask


def shell(size: tuple[int, int, int], width: int = 3) -> Tensor:
    mask = torch.ones(size, dtype=torch.bool)
    mask[width:-width, width:-width, width:-width] = False
    return mask


def test_inpainting_paints_its_windows_and_leaves_the_rest() -> None:
    volumes, drawn = dark(20), inpainting(*range(20))
    painted = apply_inpainting(volumes, drawn)
    assert torch.equal(volumes, dark(20))
    for example in range(20):
        mask = inside(drawn, example, PUBLISHED)
        assert torch.equal(painted[example, 0] >= 0, mask)
        assert not mask[shell(PUBLISHED)].any()
    assert painted.max() < 1


def test_outpainting_keeps_its_windows_and_paints_the_rest() -> None:
    drawn = outpainting(*range(20))
    volumes = -random_for(*range(20)).uniform(1, *PUBLISHED) - 0.001
    painted = apply_outpainting(volumes, drawn)
    for example in range(20):
        kept = inside(drawn, example, PUBLISHED)
        assert torch.equal(painted[example, 0][kept], volumes[example, 0][kept])
        assert painted[example, 0][~kept].min() >= 0
        assert not kept[shell(PUBLISHED)].any()


def test_noise_is_uniform_and_new_in_every_voxel() -> None:
    painted = apply_outpainting(dark(2), outpainting(0, 1))
    noise = painted[painted >= 0].double()
    assert noise.mean().item() == pytest.approx(0.5, abs=0.003)
    assert noise.var().item() == pytest.approx(1 / 12, abs=0.0005)
    assert len(noise.unique()) > 0.99 * len(noise)


def test_painted_noise_is_equal_in_all_channels_inside_and_not_outside() -> None:
    inner = apply_inpainting(dark(3, channels=2), inpainting(0, 1, 2))
    assert torch.equal(inner[:, 0], inner[:, 1])
    outer = apply_outpainting(dark(1, channels=2), outpainting(0))
    painted = outer[0] >= 0
    assert torch.equal(painted[0], painted[1])
    assert (outer[0, 0] != outer[0, 1])[painted[0]].float().mean() > 0.99


def test_a_constant_fills_each_window_with_later_ones_on_top() -> None:
    size = (8, 8, 8)
    windows = Windows(
        torch.tensor([[[1, 1, 1], [3, 3, 3], [0, 0, 0]]]),
        torch.tensor([[[4, 4, 4], [3, 3, 3], [8, 8, 8]]]),
    )
    drawn = PaintParameters(windows, torch.tensor([2]), torch.tensor([5]))
    painted = apply_inpainting(dark(1, size=size), drawn, fill="constant")[0, 0]
    first, second = painted[1, 1, 1].item(), painted[3, 3, 3].item()
    assert 0 <= first < 1
    assert 0 <= second < 1
    assert first != second
    expected = dark(1, size=size)[0, 0]
    expected[1:5, 1:5, 1:5] = first
    expected[3:6, 3:6, 3:6] = second
    assert torch.equal(painted, expected)


def test_one_constant_fills_all_of_the_outside() -> None:
    drawn = outpainting(0, 1)
    painted = apply_outpainting(dark(2, channels=2), drawn, fill="constant")
    levels = [example[example >= 0].unique() for example in painted]
    assert [len(level) for level in levels] == [1, 1]
    assert levels[0] != levels[1]


@pytest.mark.parametrize("fill", ["noise", "constant"])
def test_an_example_is_painted_the_same_alone_and_among_others(fill: Fill) -> None:
    size = (15, 17, 21)
    for apply, window_range in (
        (apply_inpainting, inpainting_range(size)),
        (apply_outpainting, outpainting_range(size)),
    ):
        volumes = dark(3, channels=2, size=size)
        drawn = draw_painting(random_for(4, 5, 6), window_range, least=1)
        together = apply(volumes, drawn, fill=fill)
        for row, example in enumerate((4, 5, 6)):
            one = draw_painting(random_for(example), window_range, least=1)
            alone = apply(volumes[:1], one, fill=fill)
            assert torch.equal(together[row : row + 1], alone)


@pytest.mark.slow
def test_painted_shares_are_those_of_the_release() -> None:
    inner, outer = [], []
    for first in range(0, 400, 10):
        examples = range(first, first + 10)
        painted = apply_inpainting(dark(10), inpainting(*examples), fill="constant") >= 0
        inner.append(painted.flatten(1).double().mean(1))
        painted = apply_outpainting(dark(10), outpainting(*examples), fill="constant") >= 0
        outer.append(painted.flatten(1).double().mean(1))
    inside_share, outside_share = torch.cat(inner), torch.cat(outer)
    assert inside_share.mean().item() == pytest.approx(0.0550, abs=0.0044)  # 4 standard errors
    assert inside_share.std().item() == pytest.approx(0.0219, abs=0.0037)
    assert (inside_share == 0).double().mean().item() == pytest.approx(0.05, abs=0.044)
    assert outside_share.mean().item() == pytest.approx(0.6825, abs=0.0125)
    assert outside_share.std().item() == pytest.approx(0.0625, abs=0.011)
    assert 0.0837 <= 1 - outside_share.max() <= 1 - outside_share.min() <= 0.6673


def test_one_window_has_the_published_mean_share() -> None:
    count, voxels = 40_000, 64 * 64 * 32
    random = random_for(*range(count))
    painted = draw_painting(random, inpainting_range(PUBLISHED), least=1, most=1)
    kept = draw_painting(random, outpainting_range(PUBLISHED), least=1, most=1)
    shares = [
        (drawn.windows.sizes.prod(-1).double() / voxels).mean().item() for drawn in (painted, kept)
    ]
    assert shares == pytest.approx([0.01375, 0.1330], rel=0.01)


def test_numbers_of_windows_have_the_published_probabilities() -> None:
    count = 40_000
    random = random_for(*range(count))
    painted = draw_painting(random, inpainting_range(PUBLISHED)).used
    kept = draw_painting(random, outpainting_range(PUBLISHED), least=1).used
    shares = torch.bincount(painted, minlength=6).double() / count
    expected = [0.05, 0.0475, 0.0451, 0.0429, 0.0407, 0.7738]
    assert shares.tolist() == pytest.approx(expected, abs=0.0085)
    shares = torch.bincount(kept, minlength=6).double() / count
    expected = [0, 0.05, 0.0475, 0.0451, 0.0429, 0.8145]
    assert shares.tolist() == pytest.approx(expected, abs=0.0085)


def test_edges_are_rounded_down_as_whole_fractions_are() -> None:
    for length in range(14, 400):
        size = (length, length, length)
        painted, kept = inpainting_range(size), outpainting_range(size)
        assert (painted.smallest[0], painted.largest[0]) == (length // 6, length // 3)
        assert kept.smallest[1] == length - 4 * length // 7
        assert kept.largest[2] == length - 3 * length // 7


def test_the_shortest_axes_are_the_published_ones() -> None:
    inpainting_range((8, 8, 8))
    outpainting_range((14, 14, 14))
    with pytest.raises(ValueError, match="axis y of 7 voxels is too short"):
        inpainting_range((8, 7, 8))
    with pytest.raises(ValueError, match="axis x of 13 voxels is too short"):
        outpainting_range((13, 14, 14))


@pytest.mark.parametrize(("least", "most"), [(2, 1), (0, 0), (0, 32), (-1, 3)])
def test_numbers_of_windows_that_make_no_sense_are_refused(least: int, most: int) -> None:
    with pytest.raises(ValueError, match=f"got least {least} and most {most}"):
        draw_painting(random_for(0), inpainting_range(PUBLISHED), least=least, most=most)


def test_as_many_windows_as_allowed_are_told_apart() -> None:
    drawn = draw_painting(random_for(0), inpainting_range(PUBLISHED), least=31, most=31)
    painted = apply_inpainting(dark(1), drawn, fill="constant")[0, 0]
    assert torch.equal(painted >= 0, inside(drawn, 0, PUBLISHED))
    x, y, z = drawn.windows.starts[0, -1].tolist()
    assert painted[x, y, z] == KeyedGenerator(drawn.seeds).uniform(31)[0, -1]


def test_edges_of_one_or_more_are_voxels() -> None:
    painted = inpainting_range(PUBLISHED, window=(10, 20))
    assert (painted.smallest, painted.largest) == ((10, 10, 10), (20, 20, 20))
    kept = outpainting_range(PUBLISHED, removed=(10, 20))
    assert (kept.smallest, kept.largest) == ((44, 44, 12), (54, 54, 22))
    assert outpainting_range(PUBLISHED).largest == (37, 37, 19)
