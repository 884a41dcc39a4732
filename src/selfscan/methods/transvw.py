"""TransVW: name visual words and restore them from a distorted view (Haghighi et al., TMI 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from selfscan.methods.method import MethodConfig, OptimizerConfig, Views
from selfscan.methods.restoration import (
    Changes,
    Restoration,
    apply_changes,
    draw_changes,
    window_ranges,
)
from selfscan.networks.backbone import Backbone
from selfscan.networks.unet3d import UNet3DConfig
from selfscan.scans.crops import Batch, CropPolicy, ForegroundCrops
from selfscan.transforms.elastic import ElasticParameters, apply_elastic, draw_elastic
from selfscan.transforms.intensity import to_unit
from selfscan.transforms.masking import Fill
from selfscan.transforms.random import KeyedGenerator
from selfscan.transforms.windows import WindowRange

Norm = Literal["batch-statistics", "batch"]

_IN_PLANE = (0, 1)
_RELEASED_OPTIMIZER = OptimizerConfig(
    algorithm="adam",
    learning_rate=1e-3,
    schedule="step",
    step_size=40 * 413,  # 40 epochs of 44 words x 200 patients x 3 boxes in batches of 64
    step_factor=0.5,
)


@dataclass(frozen=True)
class Distortion:
    """The random parameters of a batch of views: a displacement of all, one change of each."""

    elastic: ElasticParameters
    changes: Changes


class TransVW(Restoration):
    """Restore crops at visual words that were warped, and then changed in one of four ways.

    One example is one crop at a visual word. Its views are `target`, the crop as it is, and
    `distorted`, the crop after an elastic displacement in the axial plane and exactly one of local
    shuffling, an intensity curve, in-painting and out-painting, each as likely. The network
    restores the target from the other, undoing the displacement too; the loss is the squared error,
    averaged over all voxels.

    This is the host. That crops lie at visual words, and that the encoder learns to name them by a
    head of its own, comes with any method (`WordClassification`); here it is required.

    Source: Haghighi et al., "Transferable Visual Words", IEEE TMI 40(10), 2021, arXiv 2102.10680,
    and Semantic Genesis, MICCAI 2020, arXiv 2007.06959. The defaults are those of its PyTorch
    release.

    Deviations from the release: batch norm keeps running statistics for evaluation (the preset
    `release` computes them from each batch, always); crops are read from the scans as training asks
    and drawn independently, where the release shuffles frozen copies; a curve is solved to float32,
    not looked up.

    License: see `TransVWConfig.license_note` on the patents before commercial use.

    Args:
        backbone: Needs a decoder that reaches full resolution.
        config: The hyper-parameters.

    Raises:
        ValueError: The backbone has no such decoder, or cannot take crops of this size.
    """

    def __init__(self, backbone: Backbone, config: TransVWConfig) -> None:
        super().__init__(
            backbone,
            crop_size=config.crop_size,
            name=config.name,
            lower_rate=1e-4,
            weight=config.restoration_weight,
        )
        self.config = config
        self.crops: CropPolicy = ForegroundCrops(config.crop_size)

    def draw(self, batch: Batch, random: KeyedGenerator) -> Distortion:
        """Draw a displacement of each crop, and the parameters of its one change."""
        c = self.config
        elastic = draw_elastic(
            random,
            sigma=(c.elastic_sigma, c.elastic_sigma),
            amplitude=c.elastic_amplitude,
            least_amplitude=c.elastic_amplitude,
        )
        change = random.integers(0, 3)
        changes = draw_changes(
            random,
            (change == 0, change == 1, change == 2, change == 3),
            c.window_ranges(),
            shuffle_windows=c.shuffle_windows,
            inpaint_windows=(1, 1),
            outpaint_windows=(1, 1),
        )
        return Distortion(elastic, changes)

    def transform(self, batch: Batch, parameters: Distortion) -> Views:
        """Displace, then change."""
        c = self.config
        target = to_unit(batch.volumes[:, 0], batch.hounsfield[:, 0], window_hu=c.window_hu)
        warped = apply_elastic(target, parameters.elastic, axes=_IN_PLANE)
        distorted = apply_changes(warped, parameters.changes, fill=c.fill, knots=c.curve_knots)
        return {"distorted": distorted, "target": target}


@dataclass(frozen=True)
class TransVWConfig(MethodConfig):
    """Hyper-parameters of TransVW; defaults are those of its PyTorch release, but for the norm.

    Attributes:
        window_hu: CT is clipped to this range of Hounsfield units and scaled to [0, 1].
        batch_size: Crops in a batch on each device.
        optimizer: Adam, halved every 40 epochs of the release.
        crop_size: Voxels along (X, Y, Z); boxes of words are resized to it.
        norm: Of the published backbone and of the word head: `batch` keeps running statistics for
            evaluation, `batch-statistics` takes those of the batch at hand, always (published).
        elastic_sigma: Width of the Gaussian that smooths the displacements, in voxels.
        elastic_amplitude: Factor on the smoothed noise; 0 displaces nothing.
        shuffle_windows: Windows that are shuffled; 5 change less than a thousandth of a crop.
        shuffle_max_window: Their longest edge in voxels; a tenth of each axis by default.
        curve_knots: Steps of the table that a curve is solved from.
        paint_border: Voxels at the faces of a crop that the painted or kept window leaves out.
        inpaint_window: Shortest and longest edge of the painted window, as shares of the axis, or
            from 1 on in voxels.
        outpaint_removed: Least and most that the kept window lacks of an axis, likewise.
        fill: `noise`, new for every voxel, or `constant`.
        restoration_weight: Of the squared error; that of words is `pretrain --word_weight`.
    """

    name: ClassVar[str] = "transvw"
    source: ClassVar[str] = (
        "Haghighi et al., Transferable Visual Words, IEEE TMI 40(10), 2021 (arXiv 2102.10680); "
        "Semantic Genesis, MICCAI 2020 (arXiv 2007.06959)"
    )
    license_note: ClassVar[str] = (
        "Independent implementation under Apache-2.0. The authors' code, weights and words are for "
        "non-commercial research only, and US patents 11,763,952, 12,277,687 and 12,469,315 are on "
        "the method: an open license settles copyright, not patents, so ask before commercial use."
    )
    presets: ClassVar[tuple[str, ...]] = ("release", "strong", "keras")
    needs_words: ClassVar[bool] = True

    batch_size: int = 64
    optimizer: OptimizerConfig = _RELEASED_OPTIMIZER
    crop_size: tuple[int, int, int] = (64, 64, 32)
    norm: Norm = "batch"
    elastic_sigma: float = 8.0
    elastic_amplitude: float = 991.0
    shuffle_windows: int = 5
    shuffle_max_window: int | None = None
    curve_knots: int = 4096
    paint_border: int = 3
    inpaint_window: tuple[float, float] = (1 / 6, 1 / 3)
    outpaint_removed: tuple[float, float] = (3 / 7, 4 / 7)
    fill: Fill = "noise"
    restoration_weight: float = 1.0

    def __post_init__(self) -> None:
        """Refuse values out of range, and crops too small for the windows."""
        super().__post_init__()
        for name in ("elastic_amplitude", "restoration_weight"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if self.elastic_sigma <= 0:
            raise ValueError(f"elastic_sigma must be positive, got {self.elastic_sigma}")
        for name in ("shuffle_windows", "curve_knots"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name, allowed in (("norm", get_args(Norm)), ("fill", get_args(Fill))):
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}"
                )
        self.window_ranges()

    @classmethod
    def release(cls) -> TransVWConfig:
        """As in the PyTorch release, whose norm never sees anything but the batch at hand."""
        return cls(norm="batch-statistics")

    @classmethod
    def strong(cls) -> TransVWConfig:
        """As many shuffled windows as in Models Genesis, so that shuffling changes a crop."""
        return cls(shuffle_windows=10_000)

    @classmethod
    def keras(cls) -> TransVWConfig:
        """Painting and batch of the Keras release: edges in voxels, one constant as the fill."""
        return cls(
            batch_size=8,
            inpaint_window=(10, 20),
            outpaint_removed=(10, 20),
            fill="constant",
        )

    @property
    def input_size(self) -> tuple[int, int, int]:
        """The size of a crop."""
        return self.crop_size

    @property
    def default_backbone(self) -> UNet3DConfig:
        """The published 3D U-Net, which is that of Models Genesis."""
        return UNet3DConfig(norm=self.norm)

    def window_ranges(self) -> tuple[WindowRange, WindowRange, WindowRange]:
        """The windows to shuffle, to paint and to keep.

        Raises:
            ValueError: An axis is too short for one of them.
        """
        return window_ranges(
            self.crop_size,
            border=self.paint_border,
            shuffle_max_window=self.shuffle_max_window,
            inpaint_window=self.inpaint_window,
            outpaint_removed=self.outpaint_removed,
        )

    def build(self, backbone: Backbone) -> TransVW:
        """The method on a backbone whose decoder reaches full resolution."""
        return TransVW(backbone, self)
