"""Weights of another shape: shared among channels, interpolated among windows, or left alone."""

from __future__ import annotations

import pytest
import torch

from selfscan.checkpoints.adapting import adapted
from selfscan.checkpoints.loading import load_weights
from selfscan.networks.swin_unetr import SwinUNETRConfig

TABLE = "layers1.0.blocks.0.attn.relative_position_bias_table"


def test_kernels_are_shared_out_among_channels() -> None:
    weight = torch.rand(4, 2, 3, 3, 3)
    fit = adapted("stem.weight", weight, torch.zeros(4, 3, 3, 3, 3), stems={"stem.weight"})
    assert fit is not None
    assert fit.how == "2 to 3 input channels"
    torch.testing.assert_close(fit.value.sum(dim=1), weight.sum(dim=1))
    assert torch.equal(fit.value[:, 0], fit.value[:, 2])


def test_positions_are_interpolated_so_that_a_slope_stays_a_slope() -> None:
    offsets = torch.arange(-6.0, 7.0)
    cube = offsets[:, None, None] + 10 * offsets[None, :, None] + 100 * offsets[None, None, :]
    table = torch.stack([cube.flatten(), torch.ones(13**3)], dim=1)
    fit = adapted(TABLE, table, torch.zeros(7**3, 2), stems=set())
    assert fit is not None
    assert fit.how == "windows of 7 cells interpolated to 4"
    expected = torch.linspace(-6, 6, 7)
    slope = expected[:, None, None] + 10 * expected[None, :, None] + 100 * expected[None, None, :]
    torch.testing.assert_close(fit.value[:, 0], slope.flatten())
    torch.testing.assert_close(fit.value[:, 1], torch.ones(7**3))


@pytest.mark.parametrize(
    ("name", "weight", "target"),
    [
        ("other.weight", (4, 2, 3, 3, 3), (4, 3, 3, 3, 3)),
        ("stem.weight", (4, 2, 3, 3, 3), (5, 2, 3, 3, 3)),
        ("stem.weight", (4, 2, 3, 3, 3), (4, 3, 5, 5, 5)),
        (TABLE, (343, 3), (27, 6)),
    ],
)
def test_nothing_is_done_where_nothing_has_a_meaning(
    name: str, weight: tuple[int, ...], target: tuple[int, ...]
) -> None:
    stems = {"stem.weight"}
    assert adapted(name, torch.zeros(weight), torch.zeros(target), stems=stems) is None


@pytest.mark.slow
def test_a_transformer_takes_weights_of_other_windows() -> None:
    sizes = {"feature_size": 12, "depths": (1, 1, 1, 1)}
    source = SwinUNETRConfig(window_size=3, **sizes).build(1)  # type: ignore[arg-type]
    target = SwinUNETRConfig(window_size=2, **sizes).build(2)  # type: ignore[arg-type]
    index = "swinViT.layers2.0.blocks.0.attn.relative_position_index"
    before = target.state_dict()[index].clone()
    report = load_weights(target, source.state_dict(), minimum_share=1.0)
    assert (report.missing, report.skipped) == ((), {})
    assert sorted(set(report.adapted.values())) == [
        "1 to 2 input channels",
        "that of the new windows",
        "windows of 3 cells interpolated to 2",
    ]
    assert torch.equal(target.state_dict()[index], before)
    target(torch.rand(1, 2, 64, 32, 32))
