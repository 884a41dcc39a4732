"""Small heads of pre-training: two restore a volume, one projects the embeddings of voxels."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class RestorationHead(nn.Module):
    """A 1x1x1 convolution and a sigmoid: features (B, F, X, Y, Z) to volumes in [0, 1].

    The sigmoid runs in float32 whatever the precision, as near 1 bfloat16 has no resolution left.

    Args:
        features: Channels of the feature map.
        channels: Channels of the restored volume.
    """

    def __init__(self, features: int, *, channels: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv3d(features, channels, kernel_size=1)

    def forward(self, features: Tensor) -> Tensor:
        """Restore volumes (B, C, X, Y, Z) from features (B, F, X, Y, Z)."""
        restored: Tensor = self.convolution(features)
        with torch.autocast(restored.device.type, enabled=False):
            wide = torch.promote_types(restored.dtype, torch.float32)
            return torch.sigmoid(restored.to(wide))


class ConvolutionalRestorationHead(nn.Module):
    """A 3x3x3 convolution, group norm and leaky ReLU, then a 1x1x1 convolution to a volume.

    Source: He et al., "Geometric Visual Similarity Learning", CVPR 2023; layers are those of its
    release.

    Args:
        features: Channels of the feature map.
        channels: Channels of the restored volume.
    """

    def __init__(self, features: int, *, channels: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv3d(features, 16, kernel_size=3, padding=1),
            nn.GroupNorm(4, 16),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv3d(16, channels, kernel_size=1),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Restore volumes (B, C, X, Y, Z), unbounded, from features (B, F, X, Y, Z)."""
        restored: Tensor = self.layers(features)
        return restored.to(torch.promote_types(restored.dtype, torch.float32))


class ProjectionHead(nn.Module):
    """Three affine layers with batch norm and ReLU between: embeddings to unit vectors.

    It runs in float32 whatever the precision, as the similarities of unit vectors need.

    Source: Goncharov et al., "vox2vec", MICCAI 2023; layers are those of its release.

    Args:
        features: Length F of an embedding.
        projected: Length of a unit vector.
    """

    def __init__(self, features: int, *, projected: int = 128) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(features, features),
            nn.BatchNorm1d(features),
            nn.ReLU(inplace=True),
            nn.Linear(features, features),
            nn.BatchNorm1d(features),
            nn.ReLU(inplace=True),
            nn.Linear(features, projected),
        )

    def forward(self, embeddings: Tensor) -> Tensor:
        """Project embeddings (N, F) to vectors of length 1, (N, projected)."""
        with torch.autocast(embeddings.device.type, enabled=False):
            wide = torch.promote_types(embeddings.dtype, torch.float32)
            projected: Tensor = self.layers(embeddings.to(wide))
            return functional.normalize(projected, dim=1)
