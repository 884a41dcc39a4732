"""A backbone with a segmentation head, and how it labels a whole volume window by window."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from selfscan.checkpoints.checkpoint import Checkpoint, Task, load, resolve
from selfscan.checkpoints.loading import load_weights
from selfscan.errors import SelfscanError
from selfscan.networks.backbone import Backbone
from selfscan.networks.pyramid_heads import LinearHead
from selfscan.training.engine import EngineConfig
from selfscan.transforms.intensity import to_unit

Size = tuple[int, int, int]


class Segmenter(nn.Module):
    """Labels each voxel by a linear head on all levels of the backbone's decoder.

    A head on the finest level alone starts so slowly that small structures are missed in short
    training: the coarse levels, which tell structures apart first, reach the loss only through all
    layers above them.

    Source: Goncharov et al., "vox2vec", MICCAI 2023, whose end-to-end models have this head.

    Args:
        backbone: Its decoder must reach full resolution.
        label_names: Names of the label values 0, 1, ..., K - 1; 0 is the background.
        window_hu: CT is clipped to this range of Hounsfield units and scaled to [0, 1].

    Raises:
        ValueError: The backbone has no decoder level of stride 1, or label values have gaps.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        label_names: Mapping[int, str],
        window_hu: tuple[float, float],
    ) -> None:
        super().__init__()
        pyramid = backbone.decoder_pyramid
        if not len(pyramid) or pyramid.strides[0] != (1, 1, 1):
            found = f"stride {pyramid.strides[0]}" if len(pyramid) else "no decoder"
            raise ValueError(
                "segmentation needs a backbone whose decoder's finest level has stride (1, 1, 1), "
                f"got {type(backbone).__name__} with {found}"
            )
        if sorted(label_names) != list(range(len(label_names))):
            raise ValueError(
                f"label values must be 0, 1, 2, ... without gaps, got {sorted(label_names)}"
            )
        self.backbone = backbone
        self.head = LinearHead(pyramid, classes=len(label_names))
        self.label_names = dict(label_names)
        self.window_hu = window_hu

    def forward(self, volumes: Tensor) -> Tensor:
        """Give logits (B, K, X, Y, Z) of volumes (B, C, X, Y, Z) in [0, 1]."""
        logits: Tensor = self.head(self.backbone(volumes).decoder)
        return logits


@torch.no_grad()
def slide(
    network: Callable[[Tensor], Tensor],
    volume: npt.NDArray[np.int16],
    hounsfield: Sequence[bool],
    *,
    window_hu: tuple[float, float],
    crop_size: Size,
    at_once: int = 1,
    overlap: float = 0.5,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Apply a dense network to a whole volume, overlapping windows averaged by Gaussian weights.

    Args:
        network: From volumes (B, C, *crop_size) in [0, 1] to maps (B, K, *crop_size).
        volume: As stored, (C, X, Y, Z); where smaller than a window it is padded.
        hounsfield: Which channels are CT, C of them.
        window_hu: The window of the CT channels.
        crop_size: The size of a window, in voxels.
        at_once: Windows that pass the network together; see `windows_at_once`.
        overlap: Share of a window that its neighbor covers too, at least 0 and below 1.
        device: Where the network is; the maps are gathered in main memory.

    Returns:
        The averaged maps, (K, X, Y, Z), float32, in main memory.
    """
    # MONAI takes seconds to import: pre-training, which may never get here, does not wait for it.
    from monai.inferers import sliding_window_inference

    if not 0 <= overlap < 1:
        raise ValueError(f"overlap must lie in [0, 1), got {overlap}")
    whole = torch.from_numpy(np.ascontiguousarray(volume))[None]
    units = to_unit(whole, torch.tensor([list(hounsfield)]), window_hu=window_hu)
    maps = sliding_window_inference(
        units,
        roi_size=crop_size,
        sw_batch_size=at_once,
        predictor=lambda windows: network(windows).float(),
        overlap=overlap,
        mode="gaussian",
        sw_device=device,
        device="cpu",
    )
    return cast(Tensor, maps)[0]


def segment_volume(
    segmenter: Segmenter,
    volume: npt.NDArray[np.int16],
    hounsfield: Sequence[bool],
    *,
    crop_size: Size,
    overlap: float = 0.5,
    device: torch.device | str = "cpu",
) -> npt.NDArray[np.float32]:
    """Label a whole stored volume.

    Args:
        segmenter: In evaluation mode, on `device`.
        volume: As stored, (C, X, Y, Z).
        hounsfield: Which channels are CT.
        crop_size: The size of a window, in voxels.
        overlap: Share of a window that its neighbor covers too.
        device: Where the segmenter is.

    Returns:
        The probability of each class, (K, X, Y, Z).
    """
    logits = slide(
        segmenter,
        volume,
        hounsfield,
        window_hu=segmenter.window_hu,
        crop_size=crop_size,
        at_once=windows_at_once(segmenter.backbone),
        overlap=overlap,
        device=device,
    )
    probabilities: npt.NDArray[Any] = torch.softmax(logits, dim=0).numpy()
    return probabilities


def windows_at_once(backbone: Backbone) -> int:
    """How many windows pass a network together without changing each other's result.

    Four, or one for a network whose norm mixes them. On one thread of a CPU, PyTorch takes a slower
    path for the convolutions of a single small window than for those of several.
    """
    return 1 if backbone.mixes_batch else 4


def load_segmenter(path: Path) -> tuple[Segmenter, Checkpoint]:
    """Rebuild a fine-tuned model from its run folder or checkpoint file, in evaluation mode.

    Raises:
        SelfscanError: The checkpoint is of another task, or its weights do not fit.
    """
    checkpoint = load(resolve(path))
    return segmenter_of(path, checkpoint), checkpoint


def segmenter_of(path: Path, checkpoint: Checkpoint) -> Segmenter:
    """The same from a checkpoint that was read from a path."""
    require_task(path, checkpoint, "segmentation", "fine-tune it first (selfscan finetune)")
    segmenter = Segmenter(
        checkpoint.backbone.build(checkpoint.in_channels),
        label_names=checkpoint.label_names,
        window_hu=checkpoint.window_hu,
    )
    load_weights(segmenter, checkpoint.weights, minimum_share=1.0)
    return segmenter.eval()


def require_task(path: Path, checkpoint: Checkpoint, task: Task, remedy: str) -> None:
    """Refuse a checkpoint of another task.

    Raises:
        SelfscanError: It is of another.
    """
    if checkpoint.task != task:
        raise SelfscanError(
            f"{path}: found a checkpoint of {checkpoint.task}; expected one of {task}; {remedy}"
        )


def inference_fabric(engine: EngineConfig) -> Fabric:
    """The device and precision to compute with, in one process.

    Raises:
        ValueError: More than one device is asked for.
    """
    devices, nodes = engine.processes()
    if devices * nodes > 1:
        raise ValueError(
            f"this runs on one device: devices and nodes must be 1, got {devices} and {nodes}"
        )
    return engine.fabric()
