"""Patch merging: the order in which the corners of a block are read, before and after MONAI 1.5."""

from __future__ import annotations

import pytest
import torch
from monai.networks.nets.swin_unetr import MERGING_MODE
from torch import nn

from selfscan.networks.patch_merging import LegacyPatchMerging


@pytest.mark.parametrize(
    ("merging", "order"),
    [
        (LegacyPatchMerging, [0, 4, 2, 1, 5, 2, 1, 7]),
        (MERGING_MODE["merging"], [0, 4, 2, 1, 6, 5, 3, 7]),
        (MERGING_MODE["mergingv2"], [0, 1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_the_corners_of_a_block_have_an_order(merging: type[nn.Module], order: list[int]) -> None:
    layer = merging(dim=1)
    layer.norm = layer.reduction = nn.Identity()
    block = torch.arange(8.0).view(1, 2, 2, 2, 1)
    assert layer(block).flatten().tolist() == order


def test_every_block_is_merged_alike_and_weights_have_todays_names() -> None:
    torch.manual_seed(0)
    layer, today = LegacyPatchMerging(dim=3), MERGING_MODE["merging"](dim=3)
    blocks = torch.rand(2, 4, 2, 6, 3)
    merged = layer(blocks)
    assert merged.shape == (2, 2, 1, 3, 6)
    torch.testing.assert_close(merged[:, 1:, :, 2:], layer(blocks[:, 2:, :, 4:]))
    shapes = {name: weight.shape for name, weight in layer.state_dict().items()}
    assert shapes == {name: weight.shape for name, weight in today.state_dict().items()}
