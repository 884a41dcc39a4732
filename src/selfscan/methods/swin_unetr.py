"""Swin UNETR pre-training: in-painting, rotation and contrast together (Tang et al., CVPR 2022)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from selfscan.losses.gather import gather_rows
from selfscan.losses.info_nce import info_nce
from selfscan.methods.method import Alarm, Method, MethodConfig, OptimizerConfig, Outcome, Views
from selfscan.networks.backbone import Backbone
from selfscan.networks.coarse_restoration import CoarseRestorationHead, UpSampling
from selfscan.networks.swin_unetr import SwinUNETRConfig
from selfscan.scans.crops import Batch, CropPolicy, ForegroundCrops, UniformCrops
from selfscan.transforms.cutout import CutoutConfig, CutoutParameters, apply_cutout, draw_cutout
from selfscan.transforms.intensity import to_unit
from selfscan.transforms.random import KeyedGenerator
from selfscan.transforms.rotation import (
    Plane,
    apply_quarter_turns,
    check_plane,
    draw_quarter_turns,
)

CropChoice = Literal["foreground", "uniform"]
Token = Literal["mean", "corner"]

_SHOWN = 4  # crops that are illustrated
# 4e-4 belongs to the 128 crops of the authors' 32 devices; in proportion for the 4 of one.
_DEFAULT_OPTIMIZER = OptimizerConfig(
    algorithm="adamw",
    learning_rate=4e-4 * 4 / 128,
    weight_decay=1e-5,
    schedule="cosine",
    warmup_steps=500,
    gradient_clip=1.0,
)
_RELEASED_OPTIMIZER = OptimizerConfig(
    algorithm="adamw", learning_rate=4e-4, weight_decay=0.1, schedule="cosine", warmup_steps=500
)


@dataclass(frozen=True)
class ViewParameters:
    """What was drawn for a batch of views, view after view of each crop.

    Attributes:
        turns: Quarter turns, 0 to 3, int64.
        cutout: What is cut out.
    """

    turns: Tensor
    cutout: CutoutParameters


class SwinUNETRPretraining(Method):
    """Restore what was cut out of two turned copies of a crop, tell the turns, know the crop again.

    One example is a few crops of one scan. Of each there are two views: turned by a random number
    of quarter turns, then boxes filled with noise, others with what another crop has there. From
    the coarsest map of the encoder three heads restore the turned crop without the cut-out (mean
    absolute error), classify the turn (cross-entropy) and embed the crop, whose two views should be
    most similar among all of the batch (InfoNCE). The decoder is not trained, and not saved.

    Source: Tang et al., "Self-Supervised Pre-Training of Swin Transformers for 3D Medical Image
    Analysis", CVPR 2022, arXiv 2111.14791; constants are those of its release.

    Deviations from the release, together in the preset `released`: crops turn about z, as the paper
    has it, so that the distance of slices does not tell the turn; they lie in the body; heads see
    the mean of all cells, not the first and the second; crops are swapped as they were after the
    noise, whatever their order; boxes have edges of two voxels at least; the learning rate is
    scaled down to the batch, weight decay is the paper's, and gradients are clipped. In both: a box
    of one voxel becomes 0.5, the first step of the warm-up is not lost, and all channels of a scan
    are restored.

    License: see `SwinUNETRPretrainingConfig.license_note`.

    Args:
        backbone: Any; only its encoder is used.
        config: The hyper-parameters.

    Raises:
        ValueError: The backbone cannot take crops of this size, or has too few coarsest cells.
    """

    part = "encoder"
    alarms = (
        Alarm(
            monitor="contrast_gain",
            minimum=1e-3,
            advice="the views of a crop are no more like each other than those of different crops, "
            "so the embedding has collapsed; lower method.optimizer.learning_rate, or give more "
            "crops (method.batch_size, method.crops_per_scan)",
        ),
    )

    def __init__(self, backbone: Backbone, config: SwinUNETRPretrainingConfig) -> None:
        super().__init__()
        size = config.crop_size
        backbone.check_size(size)
        pyramid = backbone.encoder_pyramid
        features, stride = pyramid.channels[-1], pyramid.strides[-1]
        cells = math.prod(length // step for length, step in zip(size, stride, strict=True))
        if cells < 2:
            raise ValueError(
                f"crop_size must hold two cells of {stride} voxels at least, got {size}"
            )
        self.backbone = backbone
        self.rotation = nn.Linear(features, 4)
        self.contrast = nn.Linear(features, config.projected)
        self.restoration = CoarseRestorationHead(
            features, stride, up_sampling=config.up_sampling, channels=backbone.in_channels
        )
        self.config = config
        policy = ForegroundCrops if config.crop_policy == "foreground" else UniformCrops
        self.crops: CropPolicy = policy(size, config.crops_per_scan)

    def draw(self, batch: Batch, random: KeyedGenerator) -> ViewParameters:
        """Draw both views of every crop."""
        views = random.split(2 * batch.volumes.shape[1])
        cutout = draw_cutout(views, self.config.crop_size, self.config.cutout, views=2)
        return ViewParameters(draw_quarter_turns(views), cutout)

    def transform(self, batch: Batch, parameters: ViewParameters) -> Views:
        """Turn every crop twice, then cut out.

        Returns:
            For N crops, `input` and `target`, what the network sees and restores, (2N, C, X, Y, Z)
            in [0, 1], and `turns`, (2N,); rows 2n and 2n + 1 are the views of crop n.
        """
        volumes, hounsfield = batch.volumes.flatten(0, 1), batch.hounsfield.flatten(0, 1)
        crops = to_unit(volumes, hounsfield, window_hu=self.config.window_hu)
        target = apply_quarter_turns(
            crops.repeat_interleave(2, dim=0), parameters.turns, self.config.rotation_plane
        )
        cut = apply_cutout(target, parameters.cutout, self.config.cutout)
        return {"input": cut, "target": target, "turns": parameters.turns}

    def forward(self, views: Views) -> Outcome:
        """Restore, classify and contrast; the monitors say how often turn and crop are found."""
        c, target, turns = self.config, views["target"], views["turns"]
        coarsest = self.backbone.encode(views["input"])[-1]
        rotated, embedded = self.classify(coarsest), self.embed(coarsest)
        first, second = embedded[0::2], embedded[1::2]
        if c.gather:
            first, second = gather_rows(first), gather_rows(second)
        contrast = info_nce(first, second, temperature=c.temperature)
        restored = self.restoration(coarsest)
        with torch.no_grad():
            monitors = {
                "rotation_accuracy": (rotated.argmax(1) == turns).float().mean(),
                "contrast_top1": _found_again(first, second),
                "contrast_gain": math.log(2 * len(first) - 1) - contrast,
                "cut_out": (views["input"] != target).any(1).float().mean(),
            }
        return Outcome(
            losses={
                "restoration": c.restoration_weight * functional.l1_loss(restored, target),
                "rotation": c.rotation_weight * functional.cross_entropy(rotated, turns),
                "contrast": c.contrast_weight * contrast,
            },
            monitors=monitors,
        )

    def shown_crops(self, crops: int) -> tuple[Tensor, ...]:
        """Both views of each crop, one after the other."""
        return (torch.arange(crops).repeat_interleave(2),)

    def classify(self, coarsest: Tensor) -> Tensor:
        """The logits (N, 4) of each number of quarter turns."""
        logits: Tensor = self.rotation(self._token(coarsest, 0))
        return logits.to(torch.promote_types(logits.dtype, torch.float32))

    def embed(self, coarsest: Tensor) -> Tensor:
        """Unit vectors (N, projected), float32 or more."""
        embedded: Tensor = self.contrast(self._token(coarsest, 1))
        wide = torch.promote_types(embedded.dtype, torch.float32)
        return functional.normalize(embedded.to(wide), dim=1)

    def _token(self, coarsest: Tensor, number: int) -> Tensor:
        """What a head sees of the coarsest map: the mean of its cells, or the cell of a number."""
        cells = coarsest.flatten(2)
        return cells.mean(2) if self.config.token == "mean" else cells[..., number]

    @torch.no_grad()
    def illustrate(self, views: Views) -> dict[str, Tensor]:
        """The cut-out crops, what the network restores, and what it should."""
        cut, target = views["input"][:_SHOWN], views["target"][:_SHOWN]
        restored = self.restoration(self.backbone.encode(cut)[-1])
        return {"input": cut, "output": restored, "target": target}


@dataclass(frozen=True)
class SwinUNETRPretrainingConfig(MethodConfig):
    """Hyper-parameters of Swin UNETR pre-training; the preset `released` has those of its release.

    Attributes:
        window_hu: CT is clipped to this range of Hounsfield units and scaled to [0, 1].
        batch_size: Scans in a batch on each device.
        optimizer: AdamW with warm-up and a cosine. 4e-4 was used for 128 crops a step; the default
            is in proportion for 4: scale it by batch size and devices.
        crop_size: Voxels along (X, Y, Z).
        crops_per_scan: Crops of each scan in a batch.
        crop_policy: `foreground`, around voxels of the body, or `uniform`, anywhere.
        rotation_plane: `axial` turns about z (paper), `sagittal` about the left-right axis (as
            released), which needs isotropic voxels.
        cutout: What is cut out.
        token: What the heads of rotation and contrast see: the `mean` of all coarsest cells, or the
            `corner` cell and its neighbor along z (published).
        up_sampling: How the restored crop rises from the coarsest map: `vae` (released), `deconv`
            or `large-kernel-deconv`.
        projected: Length of the embedding that is contrasted.
        temperature: What similarities are divided by.
        gather: Whether the crops of other processes are negatives too.
        restoration_weight: Of the mean absolute error.
        rotation_weight: Of the cross-entropy of turns.
        contrast_weight: Of InfoNCE.
    """

    name: ClassVar[str] = "swin-unetr"
    source: ClassVar[str] = (
        "Tang et al., Self-Supervised Pre-Training of Swin Transformers for 3D Medical Image "
        "Analysis, CVPR 2022 (arXiv 2111.14791)"
    )
    license_note: ClassVar[str] = (
        "The original code is licensed under Apache-2.0, and so is MONAI, whose network this is; "
        "no patent is known to us. The task is an implementation of its own."
    )
    presets: ClassVar[tuple[str, ...]] = ("released",)

    optimizer: OptimizerConfig = _DEFAULT_OPTIMIZER
    crop_size: tuple[int, int, int] = (96, 96, 96)
    crops_per_scan: int = 2
    crop_policy: CropChoice = "foreground"
    rotation_plane: Plane = "axial"
    cutout: CutoutConfig = field(default_factory=CutoutConfig)
    token: Token = "mean"
    up_sampling: UpSampling = "vae"
    projected: int = 512
    temperature: float = 0.5
    gather: bool = False
    restoration_weight: float = 1.0
    rotation_weight: float = 1.0
    contrast_weight: float = 1.0

    def __post_init__(self) -> None:
        """Refuse values without a meaning."""
        super().__post_init__()
        for name in ("crops_per_scan", "projected"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.temperature <= 0:
            raise ValueError(f"temperature must be positive, got {self.temperature}")
        for name in ("restoration_weight", "rotation_weight", "contrast_weight"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if self.contrast_weight and self.batch_size * self.crops_per_scan < 2:
            raise ValueError(
                "a batch must have two crops to contrast, got batch_size 1 and crops_per_scan 1; "
                "or set contrast_weight to 0"
            )
        for name, values in (
            ("crop_policy", get_args(CropChoice)),
            ("token", get_args(Token)),
            ("up_sampling", get_args(UpSampling)),
        ):
            if getattr(self, name) not in values:
                raise ValueError(
                    f"{name} must be one of {', '.join(values)}, got {getattr(self, name)!r}"
                )
        check_plane(self.rotation_plane, self.crop_size)
        self.cutout.check_size(self.crop_size)

    @classmethod
    def released(cls) -> SwinUNETRPretrainingConfig:
        """As released; with `--backbone.patch_merging legacy` also the network of its time."""
        return cls(
            optimizer=_RELEASED_OPTIMIZER,
            crop_policy="uniform",
            rotation_plane="sagittal",
            cutout=CutoutConfig(shortest_edge=1, swap_from="running"),
            token="corner",
        )

    @property
    def input_size(self) -> tuple[int, int, int]:
        """The size of a crop."""
        return self.crop_size

    @property
    def default_backbone(self) -> SwinUNETRConfig:
        """The published network."""
        return SwinUNETRConfig()

    def build(self, backbone: Backbone) -> SwinUNETRPretraining:
        """The method on the encoder of any backbone."""
        return SwinUNETRPretraining(backbone, self)


def _found_again(first: Tensor, second: Tensor) -> Tensor:
    """The share of 2N unit vectors (N, D) whose most similar other one is of the same crop."""
    vectors = torch.cat([first, second])
    similar = (vectors @ vectors.T).fill_diagonal_(-torch.inf)
    partners = torch.arange(len(vectors), device=vectors.device).roll(len(first))
    return (similar.argmax(1) == partners).float().mean()
