"""The patch merging that MONAI's Swin networks had before version 1.5, for weights of that time."""

from __future__ import annotations

import torch
from monai.networks.nets.swin_unetr import PatchMergingV2
from torch import Tensor

_CORNERS = (
    (0, 0, 0),
    (1, 0, 0),
    (0, 1, 0),
    (0, 0, 1),
    (1, 0, 1),
    (0, 1, 0),
    (0, 0, 1),
    (1, 1, 1),
)


class LegacyPatchMerging(PatchMergingV2):
    """Joins blocks of 2x2x2 cells as MONAI did up to version 1.4; its networks' `downsample`.

    Of the eight corners of a block it reads 010 and 001 twice, 110 and 011 never. Weights have the
    names and shapes of today's, so they load without complaint either way, and mean something else.
    """

    def forward(self, cells: Tensor) -> Tensor:
        """Merge cells (B, X, Y, Z, C), axes even, to (B, X/2, Y/2, Z/2, 2C)."""
        corners = [cells[:, x::2, y::2, z::2] for x, y, z in _CORNERS]
        merged: Tensor = self.reduction(self.norm(torch.cat(corners, dim=-1)))
        return merged
