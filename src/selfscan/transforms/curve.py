"""Non-linear intensity mapping by random Bezier curves (Zhou et al., MICCAI 2019)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from selfscan.transforms.pieces import piece_count
from selfscan.transforms.random import KeyedGenerator

_TINY = 1e-30  # makes 0 / 0 give 0


@dataclass(frozen=True)
class CurveParameters:
    """One cubic Bezier curve an example, from (0, 0) to (1, 1), or from (0, 1) to (1, 0).

    Attributes:
        controls: Inner control points x1, y1, x2, y2 of the rising curve, shape (B, 4), float32.
        falling: Take the falling curve, through (x1, y2) and (x2, y1), instead; shape (B,), bool.
    """

    controls: Tensor
    falling: Tensor


def draw_curve(random: KeyedGenerator, *, falling_probability: float = 0.5) -> CurveParameters:
    """Draw control points, uniform in the unit square, and the direction.

    Args:
        random: One stream an example.
        falling_probability: Of a falling curve; 0 keeps the order of intensities.
    """
    return CurveParameters(random.uniform(4), random.bernoulli(falling_probability))


def apply_curve(
    volumes: Tensor, parameters: CurveParameters, *, knots: int = 4096, levels: int | None = None
) -> Tensor:
    """Map the intensities of volumes (B, C, X, Y, Z) by one strictly monotone curve an example.

    With X(s) = 3 x1 s (1-s)^2 + 3 x2 s^2 (1-s) + s^3 and Y(s) alike, v becomes Y(s) where X(s) = v;
    v outside [0, 1] counts as 0 or 1. A falling Y(s) is (1-s)^3 + 3 y2 s (1-s)^2 + 3 y1 s^2 (1-s).

    The release interpolates in a table of 100,000 points uniform in s, whose columns it sorts; as X
    and Y are monotone, its sort only turns a column round. Here s is found from a table at even
    steps of v, so no voxel has to search, and is exact to float32 inside a step.

    Args:
        volumes: Any shape (B, ...), float32.
        parameters: One curve an example.
        knots: Even steps of the table.
        levels: Where all v are multiples of 1 / levels and these are fewer than the voxels, the
            curve is computed once for each level: much less work for the same result, to the bit.
    """
    flat = volumes.flatten(1)
    if levels is None or levels >= flat.shape[1]:
        return _curved(flat, parameters, knots).view_as(volumes)
    multiples = torch.arange(levels + 1, device=flat.device).to(flat.dtype).div_(levels)
    table = _curved(multiples.repeat(len(flat), 1), parameters, knots)
    level = flat.clamp(0.0, 1.0).mul_(levels).round_().to(torch.int32)
    return _looked_up(table, level).view_as(volumes)


def _curved(volumes: Tensor, parameters: CurveParameters, knots: int) -> Tensor:
    x, y = _polynomials(parameters)
    table = _inverse(x, knots).to(volumes.dtype)
    x, y = x.to(volumes.dtype), y.to(volumes.dtype)
    pieces = volumes.tensor_split(piece_count(volumes.numel(), volumes.device), dim=1)
    return torch.cat(
        [_value(y, _solve(x, table, piece)).clamp_(0.0, 1.0) for piece in pieces], dim=1
    )


def _looked_up(table: Tensor, columns: Tensor) -> Tensor:
    """Entries of a table (B, K) at the columns (B, N), int32; these are overwritten."""
    rows = torch.arange(0, table.numel(), table.shape[1], dtype=torch.int32, device=table.device)
    places = columns.add_(rows[:, None]).flatten()
    return table.flatten().index_select(0, places).view_as(columns)


def _polynomials(parameters: CurveParameters) -> tuple[Tensor, Tensor]:
    """Coefficients of X(s) and Y(s) for the powers 0 to 3, shape (4, B, 1) each, float64."""
    x1, y1, x2, y2 = parameters.controls.to(torch.float64)[..., None].unbind(1)
    falling = parameters.falling[:, None]
    zero, one = torch.zeros_like(x1), torch.ones_like(x1)
    turned = (
        torch.where(falling, there, here)
        for here, there in ((zero, one), (y1, y2), (y2, y1), (one, zero))
    )
    return _coefficients(zero, x1, x2, one), _coefficients(*turned)


def _coefficients(p0: Tensor, p1: Tensor, p2: Tensor, p3: Tensor) -> Tensor:
    """A cubic Bezier curve's control values as coefficients of a polynomial."""
    return torch.stack((p0, 3 * (p1 - p0), 3 * (p0 - 2 * p1 + p2), p3 - p0 + 3 * (p1 - p2)))


def _value(polynomial: Tensor, s: Tensor) -> Tensor:
    c0, c1, c2, c3 = polynomial.unbind(0)
    return s.mul(c3).add_(c2).mul_(s).add_(c1).mul_(s).add_(c0)


def _inverse(x: Tensor, knots: int) -> Tensor:
    """The s at which X(s) = k / knots for k = 0 to knots, shape (B, knots + 1)."""
    even = torch.linspace(0.0, 1.0, knots + 1, dtype=x.dtype, device=x.device)
    values = _value(x, even.expand(x.shape[1], -1))
    values[:, -1] = 1.0
    levels = even.repeat(x.shape[1], 1)
    below = torch.searchsorted(values, levels, right=True).sub_(1)
    return _advance(x, even[below], levels - values.gather(1, below)).clamp_(0.0, 1.0)


def _solve(x: Tensor, table: Tensor, volumes: Tensor) -> Tensor:
    """The s at which X(s) = v for every voxel v of (B, N)."""
    knots = table.shape[1] - 1
    position = volumes.clamp(0.0, 1.0).mul_(knots)
    step = position.to(torch.int32)
    rest = position.sub_(step).div_(knots)
    return _advance(x, _looked_up(table, step), rest).clamp_(0.0, 1.0)


def _advance(x: Tensor, s: Tensor, distance: Tensor) -> Tensor:
    """Go on from s until X has grown by a small distance: solve X(s + t) = X(s) + distance.

    Around s, X grows by a t + b t^2 + c t^3. The first two terms are solved exactly, which holds
    where a curve starts upright (a = 0); two Newton steps account for the third.
    """
    _, c1, c2, c = x.unbind(0)
    b = s.mul(3.0 * c).add_(c2)
    a = b.add(c2).mul_(s).add_(c1)
    root = b.mul(distance).mul_(4.0).add_(a.square()).clamp_min_(0.0).sqrt_().add_(a)
    t = distance.mul(2.0).div_(root.clamp_min_(_TINY))
    for _ in range(2):
        cubic = t.mul(c)
        inner = cubic.add(b)
        chord = inner.mul(t).add_(a)
        slope = inner.add_(cubic).mul_(t).add_(chord).clamp_min_(_TINY)
        t.sub_(chord.mul_(t).sub_(distance).div_(slope))
    return t.add_(s)
