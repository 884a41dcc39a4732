"""vox2vec: know a voxel again in another crop of its scan (Goncharov et al., MICCAI 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from selfscan.losses.gather import gather_rows
from selfscan.losses.info_nce import info_nce
from selfscan.methods.method import Alarm, Method, MethodConfig, OptimizerConfig, Outcome, Views
from selfscan.networks.backbone import Backbone
from selfscan.networks.fpn3d import FPN3DConfig
from selfscan.networks.heads import ProjectionHead
from selfscan.networks.voxels import voxel_features
from selfscan.scans.crops import Batch, CropPolicy, OverlappingCrops
from selfscan.transforms.appearance import (
    AppearanceConfig,
    AppearanceParameters,
    apply_appearance,
    draw_appearance,
)
from selfscan.transforms.filters import RADIUS
from selfscan.transforms.random import KeyedGenerator

_WATCHED = 256  # anchors among which `retrieval` is counted
_SHOWN = 2  # pairs that are illustrated
_RELEASED_OPTIMIZER = OptimizerConfig(
    algorithm="adam", learning_rate=3e-4, schedule="constant", gradient_clip=1.0
)


class Vox2Vec(Method):
    """Tell each voxel from all others of the batch by an embedding that survives a second look.

    One example is a pair of crops of one scan (or several), which overlap, and body voxels in both.
    Each crop's appearance is changed on its own: sharpness, noise, window. The embedding of a voxel
    is what the feature pyramid holds at its place on all levels; projected to a unit vector, that
    of the first crop should be most similar to that of the same voxel in the second (InfoNCE).

    Source: Goncharov et al., "vox2vec", MICCAI 2023, arXiv 2307.14725; constants are those of its
    release.

    Deviations from the release: the pairs of a batch are of different scans, so that neither the
    statistics of one patient nor near neighbors stand in for anatomy (the preset `published` takes
    all ten from one scan); a pair that shares fewer than 16 voxels is drawn anew; intensities other
    than CT are windowed by the same shares of their range; on several devices the negatives of all
    are compared.

    License: the release is MIT-licensed; this is an implementation of its own, and no patent on the
    method is known to us.

    Args:
        backbone: Any; its finest level should reach full resolution.
        config: The hyper-parameters.

    Raises:
        ValueError: The backbone cannot take crops of this size.
    """

    alarms = (
        Alarm(
            monitor="retrieval",
            minimum=0.02,
            advice="hardly a voxel is found again, so the embeddings do not tell voxels apart; "
            "lower method.optimizer.learning_rate, or give larger crops or batches",
        ),
    )

    def __init__(self, backbone: Backbone, config: Vox2VecConfig) -> None:
        super().__init__()
        size = config.crop_size
        backbone.check_size(size)
        self.backbone = backbone
        self.head = ProjectionHead(sum(backbone.dense_pyramid.channels), projected=config.projected)
        self.config = config
        self.crops: CropPolicy = OverlappingCrops(
            size,
            voxels=config.voxels,
            pairs=config.pairs_per_scan,
            fewest=config.fewest_voxels,
        )

    def draw(self, batch: Batch, random: KeyedGenerator) -> AppearanceParameters:
        """Draw the appearance of every crop by itself."""
        crops, shape = batch.volumes.shape[1], tuple(batch.volumes.shape[2:])
        return draw_appearance(
            random.split(crops), shape, self.config.appearance, window_hu=self.config.window_hu
        )

    def transform(self, batch: Batch, parameters: AppearanceParameters) -> Views:
        """Change each crop, and list the voxels that two crops share.

        Returns:
            `first` and `second`, the crops of each pair, (B, C, X, Y, Z); `pairs`, which of the B
            pairs each of N voxels is of, (N,); `first_voxels` and `second_voxels`, where it lies in
            either crop, (N, 3).
        """
        changed = apply_appearance(
            batch.volumes.flatten(0, 1),
            batch.hounsfield.flatten(0, 1),
            parameters,
            window_hu=self.config.window_hu,
        )
        voxels = batch.extras["voxels"].flatten(0, 1)
        shared = batch.extras["shared"].flatten()
        pairs, numbers = torch.nonzero(
            torch.arange(voxels.shape[1], device=voxels.device) < shared[:, None], as_tuple=True
        )
        first_voxels, second_voxels = voxels[pairs, numbers].unbind(dim=1)
        return {
            "first": changed[0::2],
            "second": changed[1::2],
            "pairs": pairs,
            "first_voxels": first_voxels,
            "second_voxels": second_voxels,
        }

    def forward(self, views: Views) -> Outcome:
        """Embed the shared voxels in both crops, and contrast; `retrieval` is how many are found.

        The crops pass the network one view after the other, so that a norm's statistics are those
        of a view.
        """
        first = self.project(views["first"], views["pairs"], views["first_voxels"])
        second = self.project(views["second"], views["pairs"], views["second_voxels"])
        loss = info_nce(
            gather_rows(first),
            gather_rows(second),
            temperature=self.config.temperature,
            block_rows=self.config.block_rows,
        )
        return Outcome({"info_nce": loss}, {"retrieval": retrieval(first, second)})

    def shown_crops(self, crops: int) -> tuple[Tensor, ...]:
        """The first crop of each pair, then the second of each."""
        return torch.arange(0, crops, 2), torch.arange(1, crops, 2)

    def project(self, volumes: Tensor, pairs: Tensor, voxels: Tensor) -> Tensor:
        """The unit vectors (N, projected) of voxels (N, 3) in the volumes of their pairs (N,)."""
        levels = self.backbone(volumes).dense
        strides = self.backbone.dense_pyramid.strides
        projected: Tensor = self.head(voxel_features(levels, strides, pairs, voxels))
        return projected

    @torch.no_grad()
    def illustrate(self, views: Views) -> dict[str, Tensor]:
        """Two pairs: both crops, and how similar all voxels of the second are to one of the first.

        That voxel is the one that lies nearest to the middle of the second crop, so a good
        `similarity` has its peak there; below 0 it is shown as 0.
        """
        first, second = views["first"][:_SHOWN], views["second"][:_SHOWN]
        shown = views["pairs"] < _SHOWN
        pairs = views["pairs"][shown]
        own = self.project(first, pairs, views["first_voxels"][shown])
        size = torch.tensor(second.shape[2:], device=second.device)
        distance = (views["second_voxels"][shown] - size // 2).square().sum(dim=1)
        maps = []
        for pair in range(len(first)):
            members = (pairs == pair).nonzero().flatten()
            anchor = own[members[distance[members].argmin()]]
            levels = self.backbone(second[pair : pair + 1]).dense
            maps.append(self._similarity(levels, anchor, second.shape[2:]))
        return {"first": first, "second": second, "similarity": torch.stack(maps)}

    def _similarity(self, levels: Sequence[Tensor], anchor: Tensor, size: Sequence[int]) -> Tensor:
        """Of each voxel of one crop to a unit vector, (1, X, Y, Z), slice by slice."""
        plane = torch.ones((1, *size[1:]), device=anchor.device).nonzero()
        zeros, strides = torch.zeros_like(plane[:, 0]), self.backbone.dense_pyramid.strides
        rows = []
        for x in range(size[0]):
            voxels = plane + torch.tensor([x, 0, 0], device=anchor.device)
            embedded = self.head(voxel_features(levels, strides, zeros, voxels))
            rows.append((embedded @ anchor).clamp_min(0.0).view(*size[1:]))
        return torch.stack(rows)[None]


@dataclass(frozen=True)
class Vox2VecConfig(MethodConfig):
    """Hyper-parameters of vox2vec; defaults are those of its release, but for mixed batches.

    Attributes:
        window_hu: The window of CT where none is drawn, and of other uses of the backbone.
        batch_size: Scans in a batch on each device.
        optimizer: Adam at a constant rate.
        crop_size: Voxels along (X, Y, Z).
        pairs_per_scan: Pairs of crops of each scan in a batch.
        voxels: Shared voxels of a pair at most: the samples that are contrasted.
        fewest_voxels: Shared voxels below which a pair is drawn anew.
        appearance: How the look of a crop changes.
        projected: Length of the vectors that are compared.
        temperature: What similarities are divided by.
        block_rows: Rows of the similarity matrix to hold at once; None holds all, which is a little
            faster and needs some 6 GB for 10,240 samples.
    """

    name: ClassVar[str] = "vox2vec"
    source: ClassVar[str] = (
        "Goncharov et al., vox2vec: A Framework for Self-supervised Contrastive Learning of "
        "Voxel-Level Representations in Medical Images, MICCAI 2023"
    )
    license_note: ClassVar[str] = (
        "The original code is MIT-licensed; no patent is known to us. This is an implementation "
        "of its own."
    )
    presets: ClassVar[tuple[str, ...]] = ("published",)
    window_hu: tuple[float, float] = (-1350.0, 1000.0)
    batch_size: int = 10
    optimizer: OptimizerConfig = _RELEASED_OPTIMIZER
    crop_size: tuple[int, int, int] = (128, 128, 32)
    pairs_per_scan: int = 1
    voxels: int = 1024
    fewest_voxels: int = 16
    appearance: AppearanceConfig = field(default_factory=AppearanceConfig)
    projected: int = 128
    temperature: float = 0.1
    block_rows: int | None = 1024

    def __post_init__(self) -> None:
        """Refuse values without a meaning."""
        super().__post_init__()
        for name in ("projected", "pairs_per_scan", "voxels", "fewest_voxels"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.block_rows is not None and self.block_rows < 1:
            raise ValueError(f"block_rows must be at least 1, or None, got {self.block_rows}")
        if self.temperature <= 0:
            raise ValueError(f"temperature must be positive, got {self.temperature}")
        if len(self.crop_size) != 3 or min(self.crop_size[:2]) < RADIUS or self.crop_size[2] < 1:
            raise ValueError(
                f"crop_size must hold {RADIUS} voxels in plane, as the filters reach so far, "
                f"got {self.crop_size}"
            )

    @classmethod
    def published(cls) -> Vox2VecConfig:
        """Batches as released: ten pairs of one scan, however few voxels they share."""
        return cls(batch_size=1, pairs_per_scan=10, fewest_voxels=1)

    @property
    def input_size(self) -> tuple[int, int, int]:
        """The size of a crop."""
        return self.crop_size

    @property
    def default_backbone(self) -> FPN3DConfig:
        """The published feature pyramid."""
        return FPN3DConfig()

    def build(self, backbone: Backbone) -> Vox2Vec:
        """The method on any backbone."""
        return Vox2Vec(backbone, self)


@torch.no_grad()
def retrieval(first: Tensor, second: Tensor) -> Tensor:
    """The share of anchors of the first view whose most similar vector of the second is theirs.

    Args:
        first: Unit vectors (N, D); at most 256 of them, evenly chosen, are anchors.
        second: Unit vectors (N, D).
    """
    step = max(len(first) // _WATCHED, 1)
    anchors = torch.arange(0, len(first), step, device=first.device)
    nearest = (first[anchors] @ second.T).argmax(dim=1)
    return (nearest == anchors).float().mean()
