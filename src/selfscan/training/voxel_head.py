"""Small heads on frozen voxel features: fitted to a sample of voxels, applied to whole maps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn import functional

from selfscan.errors import SelfscanError
from selfscan.networks.backbone import Stride

Classes = npt.NDArray[np.int64]
_NEVER = -1e4  # the logit of a class that was never seen; finite, so that averages stay numbers


class VoxelHead(nn.Module):
    """Affine layers with ReLU between them on the features of each voxel.

    The first layer of a concatenation is a sum over its parts, so a whole map needs no features at
    full resolution: each level passes the layer on its own grid, then is repeated and added.

    Args:
        mean: Subtracted from each feature, shape (F,).
        deviation: Divides each feature, shape (F,).
        layers: Affine layers from F features to K classes.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: Tensor, deviation: Tensor, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        self.first, self.later = layers[0], nn.ModuleList(layers[1:])

    def forward(self, features: Tensor) -> Tensor:
        """Give logits (N, K) of voxels with features (N, F)."""
        hidden: Tensor = self.first((features - self.mean) / self.deviation)
        for layer in self.later:
            hidden = layer(functional.relu(hidden))
        return hidden

    def dense(
        self, levels: Sequence[Tensor], strides: Sequence[Stride], size: torch.Size
    ) -> Tensor:
        """Give logits (B, K, *size) of a pyramid whose levels are (B, C, X/s, Y/s, Z/s)."""
        x, y, z = size
        weight = self.first.weight / self.deviation
        bias = self.first.bias - weight @ self.mean
        parts = torch.split(weight, [level.shape[1] for level in levels], dim=1)
        hidden = bias.view(1, -1, 1, 1, 1).to(levels[0])
        for level, stride, part in zip(levels, strides, parts, strict=True):
            share = torch.einsum("bcxyz,kc->bkxyz", level, part.to(level))
            repeated = functional.interpolate(share, scale_factor=[float(s) for s in stride])
            hidden = hidden + repeated[..., :x, :y, :z]
        for layer in self.later:
            hidden = layer(functional.relu(hidden).float().movedim(1, -1)).movedim(-1, 1)
        return hidden


def fit_linear(
    features: Tensor, classes: Classes, *, count: int, penalty: float, iterations: int
) -> VoxelHead:
    """Solve multinomial logistic regression on standardized features by L-BFGS; deterministic.

    Args:
        features: Of the sampled voxels, (N, F).
        classes: Their classes, (N,).
        count: The number of classes, K; one without a voxel can never be predicted.
        penalty: Weight of the squared norm of the coefficients, against the summed loss.
        iterations: Most iterations.

    Raises:
        SelfscanError: Not solved within the iterations.
    """
    mean, deviation = _moments(features)
    standard = ((features - mean) / deviation).double().numpy()
    solver = LogisticRegression(C=1 / (2 * penalty), max_iter=iterations, tol=1e-4)
    solver.fit(standard, classes)
    if solver.n_iter_.max() >= iterations:
        raise SelfscanError(
            f"the linear probe is not solved after {iterations} iterations; "
            "give more iterations or a larger penalty"
        )
    coefficients, intercepts = solver.coef_, solver.intercept_
    if len(solver.classes_) == 2:  # scikit-learn keeps one row for two classes
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercepts = np.concatenate([-intercepts, intercepts]) / 2
    layer = nn.Linear(features.shape[1], count)
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.fill_(_NEVER)
        layer.weight[solver.classes_] = torch.from_numpy(coefficients).float()
        layer.bias[solver.classes_] = torch.from_numpy(intercepts).float()
    return VoxelHead(mean, deviation, [layer]).eval()


def fit_nonlinear(
    features: Tensor,
    classes: Classes,
    *,
    count: int,
    hidden: int,
    steps: int,
    batch_size: int,
    learning_rate: float,
    weight_decay: float,
    seed: int,
) -> VoxelHead:
    """Train a head with one hidden layer by AdamW and a cosine schedule; deterministic by seed.

    Args:
        features: Of the sampled voxels, (N, F).
        classes: Their classes, (N,).
        count: The number of classes, K.
        hidden: Units of the hidden layer.
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
        layers = [nn.Linear(features.shape[1], hidden), nn.Linear(hidden, count)]
    head = VoxelHead(mean, deviation, layers)
    targets = torch.from_numpy(classes)
    optimizer = torch.optim.AdamW(head.parameters(), lr=learning_rate, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        chosen = torch.randint(len(targets), (batch_size,), generator=random)
        loss = functional.cross_entropy(head(features[chosen]), targets[chosen])
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
    return head.eval()


def _moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each feature; one that never varies is left as it is."""
    deviation, mean = torch.std_mean(features, dim=0)
    return mean, torch.where(deviation > 1e-6, deviation, 1.0)
