"""Local correlation against the specification's values, a slow version, and its invariants."""

from __future__ import annotations

from itertools import permutations, product

import pytest
import torch
from torch import Tensor

from selfscan.losses.local_ncc import Border, local_correlation, local_ncc

STABLE = pytest.mark.parametrize("stable", [True, False])


def grid(*shape: int) -> tuple[Tensor, ...]:
    counts = [torch.arange(edge, dtype=torch.float64) for edge in shape]
    return torch.meshgrid(*counts, indexing="ij")


def patterns() -> tuple[Tensor, Tensor]:
    """I and J of the specification, 12 x 12 x 12 voxels."""
    z, y, x = grid(12, 12, 12)
    first, second = ((3 * z + 5 * y + 7 * x) % 11) / 10, ((2 * z + 3 * y + 5 * x) % 7) / 6
    return first[None, None], second[None, None]


def waves() -> tuple[Tensor, Tensor]:
    z, y, x = grid(24, 20, 28)
    first = 0.5 + 0.5 * (0.3 * z + 0.2 * y + 0.1 * x).sin()
    second = 0.5 + 0.5 * (0.25 * z - 0.15 * y + 0.2 * x).cos()
    return first[None, None], second[None, None]


def flat_and_faint() -> tuple[Tensor, Tensor]:
    """A flat volume, and one that is flat but for a faint pattern."""
    z, y, x = grid(24, 24, 24)
    faint = 0.7 + 0.003 * ((7 * x + 5 * y + 3 * z) % 10) / 10
    return torch.full_like(faint, 0.7)[None, None], faint[None, None]


def noise(*shape: int) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    first, second = torch.rand(2, *shape, generator=random, dtype=torch.float64)
    return first, second


@STABLE
@pytest.mark.parametrize(
    ("case", "window", "expected"),
    [
        ("J", 9, 0.755428),
        ("J", 5, 0.778323),
        ("J", 3, 0.768001),
        ("I", 9, 0.000000),
        ("0.5 I + 0.25", 9, 0.090045),
        ("1 - I", 9, 0.912504),
        ("0", 9, 1.000000),
        ("0.5", 9, 0.497467),
    ],
)
def test_values_of_the_specification(case: str, window: int, expected: float, stable: bool) -> None:
    first, second = patterns()
    fixed = {
        "J": second,
        "I": first,
        "0.5 I + 0.25": 0.5 * first + 0.25,
        "1 - I": 1 - first,
        "0": torch.zeros_like(first),
        "0.5": torch.full_like(first, 0.5),
    }[case]
    loss = local_ncc(first, fixed, window=window, stable=stable)
    assert loss.item() == pytest.approx(expected, abs=6e-7)


@STABLE
def test_value_of_the_specification_off_the_cube(stable: bool) -> None:
    assert local_ncc(*waves(), stable=stable).item() == pytest.approx(0.787753, abs=6e-7)


@STABLE
def test_gradient_of_the_specification(stable: bool) -> None:
    moving, fixed = patterns()
    local_ncc(moving.requires_grad_(), fixed, stable=stable).backward()
    assert moving.grad is not None
    assert moving.grad.norm().item() == pytest.approx(0.0371029, abs=6e-8)
    assert moving.grad[0, 0, 6, 6, 6].item() == pytest.approx(-0.00118605, abs=6e-9)
    assert moving.grad[0, 0, 0, 0, 0].item() == pytest.approx(9.34829e-05, abs=6e-11)


@STABLE
def test_two_flat_volumes_look_alike_at_a_padded_border_only(stable: bool) -> None:
    flat = torch.full((1, 1, 12, 12, 12), 0.5, dtype=torch.float64)
    assert local_ncc(flat, flat, stable=stable).item() == pytest.approx(1 / 27, abs=6e-7)
    assert local_ncc(flat, flat, border="full", stable=stable).item() == pytest.approx(1)


def test_flat_volumes_keep_their_precision_in_float32() -> None:
    exact = [volume.requires_grad_() for volume in flat_and_faint()]
    single = [volume.detach().float().requires_grad_() for volume in exact]
    loss = local_ncc(*single)
    assert loss.item() == pytest.approx(0.296300, abs=1e-6)
    torch.autograd.backward([loss, local_ncc(*exact)])
    for one, reference in zip(single, exact, strict=True):
        assert one.grad is not None
        assert reference.grad is not None
        difference = (one.grad - reference.grad).abs().max()
        assert difference < 1e-4 * reference.grad.abs().max()
    correlation = local_correlation(*single)
    assert correlation[..., 4:-4, 4:-4, 4:-4].max() < 1e-10
    assert correlation.min() >= 0
    assert correlation.max() <= 1.001


def test_the_release_loses_flat_volumes_in_float32() -> None:
    correlation = local_correlation(*(each.float() for each in flat_and_faint()), stable=False)
    assert correlation[..., 4:-4, 4:-4, 4:-4].max() > 0.1


@pytest.mark.parametrize(
    ("edges", "window", "border"),
    [
        ((2, 4, 3), 3, "padded"),
        ((3, 4, 3), 3, "full"),
        ((3, 3, 3), 3, "full"),
        ((4, 2, 3), 9, "padded"),
    ],
)
def test_gradients_agree_with_finite_differences(
    edges: tuple[int, int, int], window: int, border: Border
) -> None:
    volumes = [volume.requires_grad_() for volume in noise(2, 1, *edges)]
    assert torch.autograd.gradcheck(
        lambda *given: local_ncc(*given, window=window, border=border), volumes
    )


def test_each_volume_alone_has_the_gradient_it_has_beside_the_other() -> None:
    both = [volume.requires_grad_() for volume in noise(1, 1, 8, 7, 6)]
    expected = torch.autograd.grad(local_ncc(*both, window=5), both)
    for learning in (0, 1):
        alone = [volume.detach() for volume in both]
        alone[learning].requires_grad_()
        local_ncc(*alone, window=5).backward()
        torch.testing.assert_close(alone[learning].grad, expected[learning], rtol=0, atol=0)
        assert alone[1 - learning].grad is None


@STABLE
@pytest.mark.parametrize("window", [3, 5])
def test_it_is_the_correlation_of_the_voxels_of_each_box(window: int, stable: bool) -> None:
    first, second = noise(2, 3, 6, 8, 7)
    boxes = []
    for volume in (first, second):
        for axis in (2, 3, 4):
            volume = volume.unfold(axis, window, 1)
        centered = volume.flatten(5)
        boxes.append(centered - centered.mean(dim=-1, keepdim=True))
    cross = (boxes[0] * boxes[1]).sum(dim=-1).square()
    squares = [box.square().sum(dim=-1) for box in boxes]
    expected = 1 - (cross / (squares[0] * squares[1] + 1e-5)).mean()
    found = local_ncc(first, second, window=window, border="full", stable=stable)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("order", list(permutations((2, 3, 4))))
def test_the_order_of_axes_and_of_volumes_plays_no_part(order: tuple[int, int, int]) -> None:
    first, second = waves()
    turned = (volume.permute(0, 1, *order) for volume in (second, first))
    torch.testing.assert_close(local_ncc(*turned), local_ncc(first, second))


def test_a_volume_of_the_batch_or_a_channel_counts_by_itself() -> None:
    first, second = noise(2, 2, 9, 9, 9)
    parts = [
        local_ncc(first[b : b + 1, c : c + 1], second[b : b + 1, c : c + 1])
        for b, c in product(range(2), range(2))
    ]
    torch.testing.assert_close(local_ncc(first, second), torch.stack(parts).mean())


def test_float32_is_kept_under_autocast() -> None:
    moving, fixed = (volume.float() for volume in waves())
    moving.requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = local_ncc(moving, fixed)
        loss.backward()
        from_halves = local_ncc(moving.bfloat16(), fixed)
    plain = moving.detach().clone().requires_grad_()
    local_ncc(plain, fixed).backward()
    assert loss.dtype == from_halves.dtype == torch.float32
    assert loss.item() == pytest.approx(0.787753, abs=1e-6)
    assert from_halves.item() == pytest.approx(0.787753, abs=1e-3)
    torch.testing.assert_close(moving.grad, plain.grad, rtol=0, atol=0)


def test_arguments_without_a_meaning_are_refused() -> None:
    volume = torch.zeros(1, 1, 4, 9, 9)
    with pytest.raises(ValueError, match=r"got \(1, 1, 4, 9, 9\) and \(1, 1, 4, 9, 8\)"):
        local_ncc(volume, volume[..., :-1])
    with pytest.raises(ValueError, match=r"of one shape \(B, C, X, Y, Z\), got \(4, 9, 9\)"):
        local_correlation(volume[0, 0], volume[0, 0])
    for window in (-3, 1, 4):
        with pytest.raises(ValueError, match=f"odd and at least 3, got {window}"):
            local_ncc(volume, volume, window=window)
    with pytest.raises(ValueError, match="border must be one of padded, full, got 'valid'"):
        local_ncc(volume, volume, border="valid")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"no box of edge 5 lies inside a volume of \(4, 9, 9\)"):
        local_ncc(volume, volume, window=5, border="full")
