"""How a segmentation model or a classifier is trained, whatever it starts from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from selfscan.methods.method import OptimizerConfig
from selfscan.training.start import Size
from selfscan.transforms.augmentation import AugmentationConfig

Load = Literal["all", "encoder"]
Loss = Literal["softmax", "sigmoid"]


@dataclass(frozen=True)
class FinetuneRecipe:
    """How a model is trained; the same for every way to start.

    What was loaded can join in by stages, as vox2vec (Goncharov et al., MICCAI 2023) means it to:
    frozen for 15,000 steps, then at 0.1 of the head's learning rate, twice that after each further
    300 steps until the rates are equal. Its release never makes a group of the backbone, so that
    after a jump all weights train at a fifth of the rate.

    Attributes:
        steps: Optimizer steps.
        batch_size: Crops a step on each device.
        accumulate: Batches whose gradients are averaged in one step.
        crop_size: In voxels; None takes the checkpoint's.
        window_hu: The window of CT; None takes the checkpoint's, or (-1000, 1000) without one.
        optimizer: How weights move.
        foreground_share: Share of crops centered on a voxel of a class drawn uniformly; of
            segmentation.
        crops_per_scan: Crops around voxels of the body whose logits are averaged to classify their
            scan; of classification.
        augmentation: How crops are changed.
        loss: `softmax` is Dice and cross-entropy of classes that exclude each other, `sigmoid` Dice
            and binary cross-entropy of each by itself, as vox2vec has it. Classification takes
            cross-entropy with classes that count alike.
        load: What a checkpoint gives: `all` that it has of the backbone, or the `encoder` with the
            decoder left random.
        freeze_steps: What was loaded stays as it is for so many steps.
        backbone_rate: Factor on the learning rate of what was loaded, once it is not frozen.
        backbone_doubling_steps: From then on this factor doubles every so many steps, up to 1, the
            rate of the head; 0 leaves it.
        validate_every: Steps between validations; 0 validates after the last step only.
        checkpoint_every: Steps between checkpoints.
        overlap: Share of a validation window that its neighbor covers too.
    """

    steps: int = 1000
    batch_size: int = 2
    accumulate: int = 1
    crop_size: Size | None = None
    window_hu: tuple[float, float] | None = None
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(
            algorithm="adamw",
            learning_rate=1e-3,
            weight_decay=1e-2,
            schedule="cosine",
            warmup_steps=50,
            gradient_clip=1.0,
        )
    )
    foreground_share: float = 0.5
    crops_per_scan: int = 1
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    loss: Loss = "softmax"
    load: Load = "all"
    freeze_steps: int = 0
    backbone_rate: float = 1.0
    backbone_doubling_steps: int = 0
    validate_every: int = 0
    checkpoint_every: int = 500
    overlap: float = 0.5

    def __post_init__(self) -> None:
        """Refuse values without a meaning; sizes and rates of others are checked by their own."""
        for name in ("steps", "batch_size", "accumulate", "checkpoint_every", "crops_per_scan"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("freeze_steps", "backbone_doubling_steps", "validate_every"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if not 0 <= self.foreground_share <= 1:
            raise ValueError(f"foreground_share must lie in [0, 1], got {self.foreground_share}")
        if not 0 <= self.overlap < 1:
            raise ValueError(f"overlap must lie in [0, 1), got {self.overlap}")
        if self.backbone_rate <= 0:
            raise ValueError(f"backbone_rate must be positive, got {self.backbone_rate}")
        if self.backbone_doubling_steps and self.backbone_rate >= 1:
            raise ValueError(
                "backbone_rate must be below 1 where backbone_doubling_steps lets it double up to "
                f"1, got {self.backbone_rate}"
            )
        for name, values in (("load", get_args(Load)), ("loss", get_args(Loss))):
            if getattr(self, name) not in values:
                raise ValueError(
                    f"{name} must be {' or '.join(values)}, got {getattr(self, name)!r}"
                )
