"""A backbone with a head that classifies whole scans: the class of a scan, window by window."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from monai.data.utils import dense_patch_slices
from torch import Tensor, nn
from torch.nn import functional

from selfscan.checkpoints.checkpoint import Checkpoint, load, resolve
from selfscan.checkpoints.loading import load_weights
from selfscan.errors import SelfscanError
from selfscan.networks.backbone import Backbone
from selfscan.training.segmentation import Size, require_task, windows_at_once
from selfscan.transforms.intensity import to_unit


class Classifier(nn.Module):
    """Classifies crops by a linear head on the means of all maps of the backbone's encoder.

    Behind instance norms such means differ by little from scan to scan, and a head on them learns
    for long nothing. `standardize` gives them mean 0 and deviation 1 over crops, as the probes of
    `classify` do, and stays as it was set. The decoder takes no part: its parameters ask for no
    gradient.

    Args:
        backbone: Any.
        label_names: Names of the classes 0, 1, ..., K - 1.
        window_hu: CT is clipped to this range of Hounsfield units and scaled to [0, 1].
    """

    center: Tensor
    deviation: Tensor

    def __init__(
        self,
        backbone: Backbone,
        *,
        label_names: Mapping[int, str],
        window_hu: tuple[float, float],
    ) -> None:
        super().__init__()
        width = sum(backbone.encoder_pyramid.channels)
        self.backbone = backbone
        self.head = nn.Linear(width, len(label_names))
        self.register_buffer("center", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))
        self.label_names = dict(label_names)
        self.window_hu = window_hu
        trained = {id(parameter) for parameter in backbone.encoder_parameters()}
        for parameter in backbone.parameters():
            parameter.requires_grad_(id(parameter) in trained)

    def forward(self, volumes: Tensor) -> Tensor:
        """Give logits (B, K) of volumes (B, C, X, Y, Z) in [0, 1]."""
        logits: Tensor = self.head((self.pooled(volumes) - self.center) / self.deviation)
        return logits

    def pooled(self, volumes: Tensor) -> Tensor:
        """The means of all maps of the encoder, (B, F)."""
        levels = self.backbone.encode(volumes)
        return torch.cat([level.mean((2, 3, 4)) for level in levels], dim=1)

    @torch.no_grad()
    def standardize(self, crops: Iterable[Tensor]) -> None:
        """Set what means are shifted and divided by to what they have over crops.

        Args:
            crops: Two at least, in batches (B, C, X, Y, Z) in [0, 1].
        """
        was_training = self.training
        self.eval()
        found = torch.cat([self.pooled(volumes) for volumes in crops])
        self.train(was_training)
        deviation = found.std(0)
        self.center.copy_(found.mean(0))
        self.deviation.copy_(torch.where(deviation > 1e-6, deviation, 1.0))


@torch.no_grad()
def classify_volume(
    classifier: Classifier,
    volume: npt.NDArray[np.int16],
    foreground: npt.NDArray[np.bool_],
    hounsfield: Sequence[bool],
    *,
    crop_size: Size,
    overlap: float = 0.5,
    device: torch.device | str = "cpu",
) -> npt.NDArray[np.float64]:
    """Classify a whole stored volume: the mean logits of overlapping windows.

    A window counts by the voxels of the body that it holds, as training draws crops around those.

    Args:
        classifier: In evaluation mode, on `device`.
        volume: As stored, (C, X, Y, Z); where smaller than a window it lies centered in it.
        foreground: Which voxels lie in the body, (X, Y, Z).
        hounsfield: Which channels are CT.
        crop_size: The size of a window, in voxels.
        overlap: Share of a window that its neighbor covers too.
        device: Where the classifier is.

    Returns:
        The probability of each class, (K,).
    """
    stored = torch.from_numpy(np.ascontiguousarray(volume))[None]
    units = to_unit(stored, torch.tensor([list(hounsfield)]), window_hu=classifier.window_hu)
    body = torch.from_numpy(np.ascontiguousarray(foreground))[None, None].float()
    missing = [max(c - s, 0) for c, s in zip(crop_size, volume.shape[1:], strict=True)]
    borders = [border for m in reversed(missing) for border in (m // 2, m - m // 2)]
    units, body = functional.pad(units, borders), functional.pad(body, borders)
    steps = [max(int(size * (1 - overlap)), 1) for size in crop_size]
    windows = dense_patch_slices(tuple(units.shape[2:]), crop_size, steps)
    counts = torch.stack([body[0, 0, x, y, z].sum() for x, y, z in windows])
    if not counts.any():  # no body: all windows count alike
        counts = torch.ones_like(counts)
    chosen = torch.nonzero(counts)[:, 0].tolist()
    at_once, found = windows_at_once(classifier.backbone), []
    for first in range(0, len(chosen), at_once):
        together = [windows[i] for i in chosen[first : first + at_once]]
        crops = [units[0, :, x, y, z] for x, y, z in together]
        found.append(classifier(torch.stack(crops).to(device)).to("cpu", torch.float64))
    shares = (counts[chosen] / counts.sum()).double()
    logits = (torch.cat(found) * shares[:, None]).sum(0)
    probabilities: npt.NDArray[Any] = torch.softmax(logits, dim=0).numpy()
    return probabilities


def load_classifier(path: Path) -> tuple[Classifier, Checkpoint]:
    """Rebuild a trained classifier from its run folder or checkpoint file, in evaluation mode.

    Raises:
        SelfscanError: The checkpoint is of another task, or its weights do not fit.
    """
    checkpoint = load(resolve(path))
    return classifier_of(path, checkpoint), checkpoint


def classifier_of(path: Path, checkpoint: Checkpoint) -> Classifier:
    """The same from a checkpoint that was read from a path."""
    remedy = "train it first (selfscan finetune --classes TABLE)"
    require_task(path, checkpoint, "classification", remedy)
    classifier = Classifier(
        checkpoint.backbone.build(checkpoint.in_channels),
        label_names=checkpoint.label_names,
        window_hu=checkpoint.window_hu,
    )
    weights = checkpoint.weights
    load_weights(classifier, weights, part="encoder", keep_heads=True, minimum_share=1.0)
    own = [name for name in classifier.state_dict() if not name.startswith("backbone.")]
    if missing := sorted(set(own) - set(weights)):
        raise SelfscanError(
            f"{path}: found no weights {', '.join(missing)}; expected a whole classifier"
        )
    return classifier.eval()
