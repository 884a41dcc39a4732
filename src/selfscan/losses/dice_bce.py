"""Dice and binary cross-entropy of classes that know nothing of each other, inside a mask."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def dice_bce(
    logits: Tensor, targets: Tensor, *, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Compare the sigmoid of each class's logits with where the class is; classes may overlap.

    With p the probabilities and g the truth, both 0 outside the mask, Dice is the mean over volumes
    and classes of 1 - 2 sum(p g) / (sum(p^2) + sum(g^2) + 1). The cross-entropy is averaged over
    classes and the voxels of the mask.

    Source: Goncharov et al., "vox2vec", MICCAI 2023, and its release, which adds the two up.

    Args:
        logits: Shape (B, K, X, Y, Z).
        targets: Where each class is, 0 or 1, shape (B, K, X, Y, Z).
        mask: Which voxels count, bool, shape (B, X, Y, Z); None for all.

    Returns:
        Dice and cross-entropy, two scalars.

    Raises:
        ValueError: Shapes do not fit, or the mask is empty.
    """
    if mask is None:
        mask = torch.ones_like(logits[:, 0], dtype=torch.bool)
    if logits.shape != targets.shape or mask.shape != logits[:, 0].shape:
        raise ValueError(
            "expected logits and targets of one shape (B, K, X, Y, Z) and a mask (B, X, Y, Z), "
            f"got {tuple(logits.shape)}, {tuple(targets.shape)} and {tuple(mask.shape)}"
        )
    if not mask.any():
        raise ValueError("expected a mask of at least one voxel, got an empty one")
    inside = mask[:, None].to(logits.dtype)
    truth = targets.to(logits.dtype) * inside
    found = logits.sigmoid() * inside

    axes = tuple(range(2, logits.ndim))
    overlap = (found * truth).sum(axes)
    sizes = found.square().sum(axes) + truth.square().sum(axes)
    dice = (1 - 2 * overlap / (sizes + 1)).mean()

    entropy = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none") * inside
    return dice, entropy.sum() / (inside.sum() * logits.shape[1])
