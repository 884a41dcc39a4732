"""Models Genesis: distort a crop at random, learn to restore it (Zhou et al., MICCAI 2019)."""

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
from selfscan.scans.crops import Batch, CropPolicy, ForegroundCrops, LungCrops
from selfscan.transforms.intensity import to_unit, unit_levels
from selfscan.transforms.masking import (
    MOST_WINDOWS,
    Fill,
)
from selfscan.transforms.random import KeyedGenerator
from selfscan.transforms.spatial import AXES, FlipParameters, apply_flips, draw_flips
from selfscan.transforms.windows import WindowRange

CropChoice = Literal["foreground", "lung"]

_RELEASED_OPTIMIZER = OptimizerConfig(
    algorithm="sgd",
    learning_rate=1.0,
    momentum=0.9,
    schedule="step",
    step_size=40 * 2373,  # 40 epochs of 14,240 crops in batches of 6
    step_factor=0.5,
)


@dataclass(frozen=True)
class Distortion:
    """The random parameters of a batch of views: flips of all, then changes of some examples."""

    flips: FlipParameters
    changes: Changes


class ModelsGenesis(Restoration):
    """Restore crops whose voxels were shuffled, whose intensities bent, whose parts painted over.

    One example is one crop. Its views are `target`, flipped at random, and `distorted`, the target
    after shuffling, an intensity curve, and in-painting or out-painting, each with a probability.
    The network restores the target from the other; the loss is the squared error, averaged over all
    voxels.

    Source: Zhou et al., "Models Genesis", MICCAI 2019, arXiv 1908.06912, and Medical Image Analysis
    67, 2021, arXiv 2004.07882. Where papers and release differ, the default is the release.

    Deviations from the release: crops are drawn anew for every step, from the whole body of any
    scan, where the release freezes 32 of each chest CT (`crop_policy="lung"` keeps its rule);
    validation keeps its crops and distortions; all channels of a crop are shuffled alike, where the
    release shuffles the first only; a curve is solved to float32, not looked up.

    License: see `ModelsGenesisConfig.license_note` on the patent before commercial use.

    Args:
        backbone: Needs a decoder that reaches full resolution.
        config: The hyper-parameters.

    Raises:
        ValueError: The backbone has no such decoder, or cannot take crops of this size.
    """

    def __init__(self, backbone: Backbone, config: ModelsGenesisConfig) -> None:
        size = config.crop_size
        super().__init__(backbone, crop_size=size, name=config.name, lower_rate=0.1)
        self.config = config
        self.crops: CropPolicy = (
            LungCrops(size, config.window_hu)
            if config.crop_policy == "lung"
            else ForegroundCrops(size)
        )

    def draw(self, batch: Batch, random: KeyedGenerator) -> Distortion:
        """Draw which changes hit which example, then the parameters of those."""
        c = self.config
        flips = draw_flips(
            random, axes=c.flip_axes, probability=c.flip_probability, rounds=c.flip_rounds
        )
        shuffled = random.bernoulli(c.shuffle_probability)
        curved = random.bernoulli(c.curve_probability)
        paint = random.bernoulli(c.paint_probability)
        outside = random.bernoulli(c.outpaint_probability)
        changes = draw_changes(
            random,
            (shuffled, curved, paint & ~outside, paint & outside),
            c.window_ranges(),
            shuffle_windows=c.shuffle_windows,
            inpaint_windows=(0, c.inpaint_windows),
            outpaint_windows=(1, c.outpaint_windows),
            continue_probability=c.window_continue_probability,
        )
        return Distortion(flips, changes)

    def transform(self, batch: Batch, parameters: Distortion) -> Views:
        """Flip, then shuffle, bend intensities, and paint."""
        c, hounsfield = self.config, batch.hounsfield[:, 0]
        flipped = apply_flips(batch.volumes[:, 0], parameters.flips)
        target = to_unit(flipped, hounsfield, window_hu=c.window_hu)
        distorted = apply_changes(
            target,
            parameters.changes,
            fill=c.fill,
            knots=c.curve_knots,
            levels=unit_levels(hounsfield, window_hu=c.window_hu),
        )
        return {"distorted": distorted, "target": target}


@dataclass(frozen=True)
class ModelsGenesisConfig(MethodConfig):
    """Hyper-parameters of Models Genesis; defaults are those of its release.

    Attributes:
        window_hu: CT is clipped to this range of Hounsfield units and scaled to [0, 1].
        batch_size: Crops in a batch on each device.
        optimizer: SGD with momentum at a learning rate of 1, halved every 40 epochs of the release.
        crop_size: Voxels along (X, Y, Z).
        crop_policy: `foreground`, anywhere in the body of any scan, or `lung`, the published rule.
        flip_probability: Of going on, before each round of flips.
        flip_rounds: Rounds of flips at most.
        flip_axes: Axes that may flip; the release leaves out z.
        shuffle_probability: Of local pixel shuffling.
        shuffle_windows: Windows that are shuffled, one over another.
        shuffle_max_window: Their longest edge in voxels; a tenth of each axis by default.
        curve_probability: Of the non-linear intensity curve.
        curve_knots: Steps of the table that a curve is solved from.
        paint_probability: Of in-painting or out-painting.
        outpaint_probability: Of out-painting where either is done.
        inpaint_windows: Windows painted at most.
        outpaint_windows: Windows left over at most.
        window_continue_probability: Of going on, before each further window of these.
        paint_border: Voxels at the faces of a crop that these windows leave out.
        inpaint_window: Shortest and longest edge of a painted window, as shares of the axis, or
            from 1 on in voxels.
        outpaint_removed: Least and most that a left-over window lacks of an axis, likewise.
        fill: `noise`, new for every voxel, or `constant`.
    """

    name: ClassVar[str] = "models-genesis"
    source: ClassVar[str] = (
        "Zhou et al., Models Genesis, MICCAI 2019 (arXiv 1908.06912); "
        "Medical Image Analysis 67, 2021 (arXiv 2004.07882)"
    )
    license_note: ClassVar[str] = (
        "Independent implementation under Apache-2.0. The authors' release is for non-commercial "
        "research only, and US patent 11,922,628 is on the method: an open license settles "
        "copyright, not patents, so ask before commercial use."
    )
    presets: ClassVar[tuple[str, ...]] = ("release", "paper")

    batch_size: int = 6
    optimizer: OptimizerConfig = _RELEASED_OPTIMIZER
    crop_size: tuple[int, int, int] = (64, 64, 32)
    crop_policy: CropChoice = "foreground"
    flip_probability: float = 0.4
    flip_rounds: int = 3
    flip_axes: tuple[str, ...] = ("x", "y")
    shuffle_probability: float = 0.5
    shuffle_windows: int = 10_000
    shuffle_max_window: int | None = None
    curve_probability: float = 0.9
    curve_knots: int = 4096
    paint_probability: float = 0.9
    outpaint_probability: float = 0.8
    inpaint_windows: int = 5
    outpaint_windows: int = 5
    window_continue_probability: float = 0.95
    paint_border: int = 3
    inpaint_window: tuple[float, float] = (1 / 6, 1 / 3)
    outpaint_removed: tuple[float, float] = (3 / 7, 4 / 7)
    fill: Fill = "noise"

    def __post_init__(self) -> None:
        """Refuse values out of range, and crops too small for the windows."""
        super().__post_init__()
        for part in ("flip", "shuffle", "curve", "paint", "outpaint", "window_continue"):
            _require_within(self, f"{part}_probability", 0.0, 1.0)
        for name in ("shuffle_windows", "curve_knots"):
            _require_within(self, name, 1, 10**9)
        for name in ("inpaint_windows", "outpaint_windows"):
            _require_within(self, name, 1, MOST_WINDOWS)
        _require_within(self, "flip_rounds", 0, 10**9)
        _require_among(self, "crop_policy", get_args(CropChoice))
        _require_among(self, "fill", get_args(Fill))
        for axis in self.flip_axes:
            if axis not in AXES:
                raise ValueError(f"flip_axes must be among {AXES}, got {axis!r}")
        self.window_ranges()

    @classmethod
    def release(cls) -> ModelsGenesisConfig:
        """The settings of the released code, whose weights are published; the default."""
        return cls()

    @classmethod
    def paper(cls) -> ModelsGenesisConfig:
        """The settings of the papers where they differ; secondary sources give most of them.

        Constant fills, up to 10 windows, 1,000 shuffled windows (in the papers one after another,
        here each read from the unshuffled crop), and an outside of less than a quarter of the crop.
        """
        return cls(
            shuffle_windows=1_000,
            inpaint_windows=10,
            outpaint_windows=10,
            paint_border=1,
            outpaint_removed=(1 / 16, 1 / 11),
            fill="constant",
        )

    @property
    def input_size(self) -> tuple[int, int, int]:
        """The size of a crop."""
        return self.crop_size

    @property
    def default_backbone(self) -> UNet3DConfig:
        """The published 3D U-Net."""
        return UNet3DConfig()

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

    def build(self, backbone: Backbone) -> ModelsGenesis:
        """The method on a backbone whose decoder reaches full resolution."""
        return ModelsGenesis(backbone, self)


def _require_within(config: ModelsGenesisConfig, name: str, low: float, high: float) -> None:
    if not low <= getattr(config, name) <= high:
        raise ValueError(f"{name} must be within {low} to {high}, got {getattr(config, name)}")


def _require_among(config: ModelsGenesisConfig, name: str, allowed: tuple[str, ...]) -> None:
    if getattr(config, name) not in allowed:
        raise ValueError(
            f"{name} must be one of {', '.join(allowed)}, got {getattr(config, name)!r}"
        )
