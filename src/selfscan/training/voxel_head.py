"""Heads on frozen features, fitted to a sample of voxels: one solved exactly, one trained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn import functional

from selfscan.errors import SelfscanError
from selfscan.networks.backbone import Pyramid
from selfscan.networks.pyramid_heads import DecoderHead, LinearHead, single_voxels

Classes = npt.NDArray[np.int64]
_NEVER = -1e4  # the logit of a class that was never seen; finite, so that averages stay numbers


class NotSolvedError(SelfscanError):
    """The linear head is not at its minimum."""


class VoxelHead(nn.Module):
    """A head that sees features as they were standardized where it learned.

    Args:
        mean: Subtracted from each feature, shape (F,).
        deviation: Divides each feature, shape (F,).
        head: From the levels of a pyramid to logits.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: Tensor, deviation: Tensor, head: nn.Module) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        self.head = head

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Give logits (B, K, ...) on the finest grid of levels (B, C, X/stride, ...)."""
        widths = [level.shape[1] for level in levels]
        moments = zip(
            torch.split(self.mean, widths), torch.split(self.deviation, widths), strict=True
        )
        standard = [
            (level - mean.view(-1, 1, 1, 1)) / deviation.view(-1, 1, 1, 1)
            for level, (mean, deviation) in zip(levels, moments, strict=True)
        ]
        logits: Tensor = self.head(standard)
        return logits


def fit_linear(
    features: Tensor,
    classes: Classes,
    pyramid: Pyramid,
    *,
    count: int,
    penalty: float,
    iterations: int,
) -> VoxelHead:
    """Solve multinomial logistic regression on standardized features by L-BFGS; deterministic.

    Args:
        features: Of the sampled voxels, (N, F).
        classes: Their classes, (N,).
        pyramid: Sizes of the levels whose channels the features are.
        count: The number of classes, K; one without a voxel can never be predicted.
        penalty: Weight of the squared norm of the coefficients, against the summed loss.
        iterations: Most iterations.

    Raises:
        NotSolvedError: Not solved within the iterations.
    """
    mean, deviation = _moments(features)
    standard = ((features - mean) / deviation).double().numpy()
    solver = LogisticRegression(C=1 / (2 * penalty), max_iter=iterations, tol=1e-4)
    solver.fit(standard, classes)
    if solver.n_iter_.max() >= iterations:
        raise NotSolvedError(
            f"the linear probe is not solved after {iterations} iterations; "
            "give more iterations or a larger penalty"
        )
    coefficients, intercepts = solver.coef_, solver.intercept_
    if len(solver.classes_) == 2:  # scikit-learn keeps one row for two classes
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercepts = np.concatenate([-intercepts, intercepts]) / 2
    with torch.device("meta"):  # so that no random weights are drawn
        head = LinearHead(pyramid, classes=count)
    weight, bias = torch.zeros(count, features.shape[1]), torch.full((count,), _NEVER)
    weight[solver.classes_] = torch.from_numpy(coefficients).float()
    bias[solver.classes_] = torch.from_numpy(intercepts).float()
    parts = {f"layers.{i}.weight": w for i, w in enumerate(single_voxels(weight, pyramid))}
    head.load_state_dict({**parts, "layers.0.bias": bias}, assign=True)
    return VoxelHead(mean, deviation, head).eval()


def fit_nonlinear(
    features: Tensor,
    classes: Classes,
    pyramid: Pyramid,
    *,
    count: int,
    steps: int,
    batch_size: int,
    learning_rate: float,
    weight_decay: float,
    seed: int,
) -> VoxelHead:
    """Train a decoder of 1x1x1 convolutions by AdamW and a cosine schedule; deterministic by seed.

    Args:
        features: Of the sampled voxels, (N, F).
        classes: Their classes, (N,).
        pyramid: Sizes of the levels whose channels the features are.
        count: The number of classes, K.
        steps: Optimizer steps.
        batch_size: Voxels a step.
        learning_rate: Peak learning rate.
        weight_decay: Decoupled weight decay.
        seed: Of the initial weights and the order of voxels.
    """
    mean, deviation = _moments(features)
    random = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = VoxelHead(mean, deviation, DecoderHead(pyramid, classes=count))
    targets = torch.from_numpy(classes)
    optimizer = torch.optim.AdamW(head.parameters(), lr=learning_rate, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        chosen = torch.randint(len(targets), (batch_size,), generator=random)
        logits = head(single_voxels(features[chosen], pyramid)).flatten(1)
        loss = functional.cross_entropy(logits, targets[chosen])
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
    return head.eval()


def _moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each feature; one that never varies is left as it is."""
    deviation, mean = torch.std_mean(features, dim=0)
    return mean, torch.where(deviation > 1e-6, deviation, 1.0)
