"""The head that names a visual word from a network's coarsest map."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from selfscan.networks.unet3d import Norm, block


class WordHead(nn.Module):
    """A 3x3x3 convolution, a norm and a ReLU, the mean over all cells, and an affine layer.

    Source: Haghighi et al., "Transferable Visual Words", IEEE TMI 2021; the layers are those of its
    PyTorch release, where they lead from 512 channels to 1,024 and to the words.

    Args:
        features: Channels of the coarsest map; the convolution has twice as many.
        words: How many words there are.
        norm: As in `UNet3D`: `batch` keeps running statistics for evaluation.
    """

    def __init__(self, features: int, *, words: int, norm: Norm = "batch") -> None:
        super().__init__()
        if words < 2:
            raise ValueError(f"words must be at least 2 to tell them apart, got {words}")
        self.block = block(features, 2 * features, norm)
        self.classifier = nn.Linear(2 * features, words)

    def forward(self, coarsest: Tensor) -> Tensor:
        """Logits (B, words), float32 or more, of maps (B, F, x, y, z)."""
        logits: Tensor = self.classifier(self.block(coarsest).mean(dim=(2, 3, 4)))
        return logits.to(torch.promote_types(logits.dtype, torch.float32))
