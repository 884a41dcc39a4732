"""The building block of GVSL's networks."""

from __future__ import annotations

from torch import nn


def double_convolution(entry: int, exit: int) -> nn.Sequential:
    """A 3x3x3 convolution, group norm and leaky ReLU, twice: (B, entry, ...) to (B, exit, ...).

    A group of the norm has eight channels; a number that eight does not divide is one group. Each
    volume is normalized by itself.

    Source: He et al., "Geometric Visual Similarity Learning", CVPR 2023; layers are those of its
    release.
    """
    layers: list[nn.Module] = []
    for channels in (entry, exit):
        layers += [
            nn.Conv3d(channels, exit, kernel_size=3, padding=1),
            nn.GroupNorm(1 if exit % 8 else exit // 8, exit),
            nn.LeakyReLU(0.2, inplace=True),
        ]
    return nn.Sequential(*layers)
