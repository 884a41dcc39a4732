"""GVSL: align the scans of two patients by what the network sees (He et al., CVPR 2023)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from selfscan.losses.local_ncc import Border, local_ncc
from selfscan.losses.mind import mind
from selfscan.losses.smoothness import smoothness
from selfscan.methods.method import Alarm, Method, MethodConfig, OptimizerConfig, Outcome, Views
from selfscan.networks.backbone import Backbone
from selfscan.networks.gvsl_unet import GVSLUNetConfig
from selfscan.networks.heads import ConvolutionalRestorationHead
from selfscan.networks.z_matching import Match, ZMatching
from selfscan.scans.crops import Batch, MatchedCrops
from selfscan.scans.crops.across import Place, Within
from selfscan.spatial_transformer import warp
from selfscan.transforms.damage import Damage, DamageConfig, apply_damage, draw_damage
from selfscan.transforms.intensity import to_unit
from selfscan.transforms.pose import PoseConfig, PoseParameters, apply_poses, draw_poses
from selfscan.transforms.random import KeyedGenerator

Similarity = Literal["ncc", "mind"]

_RELEASED_OPTIMIZER = OptimizerConfig(algorithm="adam", learning_rate=1e-4, schedule="constant")


@dataclass(frozen=True)
class PairChange:
    """What was drawn for a batch of pairs: damage of the fixed scan, and a pose that both share."""

    damage: Damage
    pose: PoseParameters


class GVSL(Method):
    """Bring the scan of one patient onto that of another, and restore what was damaged.

    One example is a pair: crops of two patients at the same place. Both are put into one random
    pose, and the fixed one is damaged: voxels shuffled, intensities bent, boxes filled with noise.
    From the features of both, `ZMatching` regresses the warp that reads the moving scan in the
    place of the fixed one; the losses are the dissimilarity of the moved scan and the undamaged
    fixed one, the roughness of the displacement, and the squared error of the restored fixed scan.
    Features can only align two patients if the same anatomy looks alike in both.

    Source: He et al., "Geometric Visual Similarity Learning in 3D Medical Image Self-supervised
    Pre-training", CVPR 2023, arXiv 2303.00874, and its release.

    Deviations from the release, each with a switch, and together with the preset `release`: the
    gradient reaches the affine head; shifts are divided by their own axis; no displacement is the
    identity; the moving scan is interpolated once; the elastic field has no offset; local variances
    are exact and never negative; training starts at the identity; the scans of a pair are of
    different patients. Without a switch: boxes may reach one voxel nearer to the far faces; the
    curve is solved to float32, not looked up; batches may hold more than one pair, all of them
    damaged; all channels are compared.

    License: see `GVSLConfig.license_note`.

    Args:
        backbone: Needs an encoder, and a decoder that reaches full resolution.
        config: The hyper-parameters.

    Raises:
        ValueError: The backbone has no such decoder, or cannot take crops of this size.
    """

    crops: MatchedCrops
    alarms = (
        Alarm(
            monitor="gain",
            minimum=1e-3,
            advice="the moved scans are no more like the fixed ones than the unmoved scans are, so "
            "the network aligns nothing; give crops that show the same anatomy "
            "(method.place, method.crop_size), more steps, or, for MR, method.similarity mind",
        ),
    )

    def __init__(self, backbone: Backbone, config: GVSLConfig) -> None:
        super().__init__()
        decoder = backbone.decoder_pyramid
        if not len(decoder) or decoder.strides[0] != (1, 1, 1):
            raise ValueError(
                "gvsl moves every voxel: it needs a backbone whose decoder starts at stride "
                f"(1, 1, 1), got {decoder.strides[:1] or 'no decoder'}"
            )
        backbone.check_size(config.crop_size)
        self.backbone = backbone
        self.matching = ZMatching(
            backbone.encoder_pyramid.channels[-1],
            decoder.channels[0],
            affine_gradient=config.affine_gradient,
            shift_unit=config.shift_unit,
            own_axis_shifts=config.own_axis_shifts,
            from_identity=config.from_identity,
        )
        self.restoration = ConvolutionalRestorationHead(
            decoder.channels[0], channels=backbone.in_channels
        )
        self.config = config
        self.patients = 2 if config.distinct_subjects else 1
        self.crops = MatchedCrops(
            config.crop_size,
            place=config.place,
            within=config.within,
            distinct=config.distinct_subjects,
        )

    def draw(self, batch: Batch, random: KeyedGenerator) -> PairChange:
        """Draw the damage of each fixed scan, and one pose a pair."""
        damage = draw_damage(random, self.config.crop_size, self.config.damage)
        return PairChange(damage, draw_poses(random, self.config.pose))

    def transform(self, batch: Batch, parameters: PairChange) -> Views:
        """Damage the fixed scan, then put it, its damaged copy and the moving scan into the pose.

        Returns:
            `fixed`, `damaged` and `moving`, each (B, C, X, Y, Z) in [0, 1].
        """
        c = self.config
        fixed, moving = (
            to_unit(batch.volumes[:, i], batch.hounsfield[:, i], window_hu=c.window_hu)
            for i in range(2)
        )
        views = {
            "fixed": fixed,
            "damaged": apply_damage(fixed, parameters.damage),
            "moving": moving,
        }
        if not c.posed:
            return views
        posed = apply_poses(
            torch.cat(list(views.values()), dim=1),
            parameters.pose,
            at_once=c.single_sampling,
            consistent=c.consistent_sampling,
            centered=c.centered_elastic,
        )
        return dict(zip(views, posed.chunk(3, dim=1), strict=True))

    def forward(self, views: Views) -> Outcome:
        """Align and restore; `gain` is by how much alignment lowers the dissimilarity."""
        fixed, moving = views["fixed"], views["moving"]
        match, features = self.match(moving, views["damaged"])
        restored = self.restoration(features)
        dissimilarity = self.config.dissimilarity()
        aligned = dissimilarity(self.move(moving, match), fixed)
        with torch.no_grad():
            gain = dissimilarity(moving, fixed) - aligned
        return Outcome(
            losses={
                "similarity": aligned,
                "restoration": functional.mse_loss(restored, fixed),
                "smoothness": smoothness(match.displacements),
            },
            monitors={"gain": gain},
        )

    def match(self, moving: Tensor, fixed: Tensor) -> tuple[Match, Tensor]:
        """The warp that reads one batch of scans in the place of another.

        Args:
            moving: Shape (B, C, X, Y, Z), in [0, 1]; of any size, filled up with 0 for the network.
            fixed: Likewise.

        Returns:
            The warp, and the finest features of the fixed scans, (B, F, X, Y, Z).
        """
        size = fixed.shape[2:]
        missing = [-n % d for n, d in zip(size, self.backbone.divisor, strict=True)]
        before = [m // 2 for m in missing]
        padding = [p for m, b in zip(missing, before, strict=True) for p in (m - b, b)][::-1]
        features = self.backbone(functional.pad(torch.cat([moving, fixed]), padding))
        x, y, z = (slice(b, b + n) for b, n in zip(before, size, strict=True))
        coarse = features.encoder[-1].chunk(2)
        fine = features.decoder[0][..., x, y, z].chunk(2)
        return self.matching((coarse[0], coarse[1]), (fine[0], fine[1])), fine[1]

    def move(self, moving: Tensor, match: Match) -> Tensor:
        """The moving scans as the warp reads them, (B, C, X, Y, Z)."""
        return warp(
            moving,
            match.matrices,
            match.displacements,
            at_once=self.config.single_sampling,
            consistent=self.config.consistent_sampling,
        )

    @torch.no_grad()
    def illustrate(self, views: Views) -> dict[str, Tensor]:
        """The moving scans before and after, the fixed ones, damaged and restored."""
        match, features = self.match(views["moving"], views["damaged"])
        return {
            "moving": views["moving"],
            "moved": self.move(views["moving"], match),
            "fixed": views["fixed"],
            "damaged": views["damaged"],
            "restored": self.restoration(features),
        }


@dataclass(frozen=True)
class GVSLConfig(MethodConfig):
    """Hyper-parameters of GVSL; defaults are those of its release, its defects repaired.

    Attributes:
        window_hu: CT is clipped to this range of Hounsfield units and scaled to [0, 1].
        batch_size: Pairs in a batch on each device.
        optimizer: Adam at a constant rate.
        crop_size: Voxels along (X, Y, Z).
        place: Where the crops of a pair lie: `center` of both scans, one `shared` random fractional
            position, or the `whole` field of view, resized.
        within: Of the whole `scan`, or of the box around the `body`.
        damage: What happens to the fixed scan.
        pose: How both are turned, scaled, sheared, shifted and bent.
        posed: Whether they are.
        similarity: `ncc`, local correlation, or `mind`, for MR and across modalities.
        ncc_window: Edge of the window of local correlation, in voxels.
        ncc_border: `padded` counts windows that stick out, with zeros; `full` leaves them out.
        shift_unit: By how many voxels a regressed shift of 1 moves; more lets short training reach
            far.
        affine_gradient: Whether the affine head learns.
        own_axis_shifts: Whether a shift is divided by the length of its own axis.
        consistent_sampling: Whether no displacement is the identity.
        single_sampling: Whether matrix and displacement make one interpolation.
        centered_elastic: Whether the elastic field has no offset along even axes.
        stable_correlation: Whether local variances are exact and never negative.
        from_identity: Whether matrix and displacement start as the identity.
        distinct_subjects: Whether the scans of a pair are of different patients.
    """

    name: ClassVar[str] = "gvsl"
    source: ClassVar[str] = (
        "He et al., Geometric Visual Similarity Learning in 3D Medical Image Self-supervised "
        "Pre-training, CVPR 2023 (arXiv 2303.00874)"
    )
    license_note: ClassVar[str] = (
        "Independent implementation under Apache-2.0. The authors' release has no license, so "
        "neither its code nor its weights may be used without asking them; no patent on the method "
        "is known to us."
    )
    presets: ClassVar[tuple[str, ...]] = ("release",)

    window_hu: tuple[float, float] = (-1024.0, 1024.0)
    batch_size: int = 1
    optimizer: OptimizerConfig = _RELEASED_OPTIMIZER
    crop_size: tuple[int, int, int] = (128, 128, 128)
    place: Place = "center"
    within: Within = "scan"
    damage: DamageConfig = field(default_factory=DamageConfig)
    pose: PoseConfig = field(default_factory=PoseConfig)
    posed: bool = True
    similarity: Similarity = "ncc"
    ncc_window: int = 9
    ncc_border: Border = "padded"
    shift_unit: float = 0.5
    affine_gradient: bool = True
    own_axis_shifts: bool = True
    consistent_sampling: bool = True
    single_sampling: bool = True
    centered_elastic: bool = True
    stable_correlation: bool = True
    from_identity: bool = True
    distinct_subjects: bool = True

    def __post_init__(self) -> None:
        """Refuse values without a meaning."""
        super().__post_init__()
        for name, values in (
            ("place", get_args(Place)),
            ("within", get_args(Within)),
            ("similarity", get_args(Similarity)),
            ("ncc_border", get_args(Border)),
        ):
            if getattr(self, name) not in values:
                raise ValueError(
                    f"{name} must be one of {', '.join(values)}, got {getattr(self, name)!r}"
                )
        if self.shift_unit <= 0:
            raise ValueError(f"shift_unit must be above 0 voxels, got {self.shift_unit}")
        if self.ncc_window < 3 or self.ncc_window % 2 == 0:
            raise ValueError(f"ncc_window must be odd and at least 3, got {self.ncc_window}")
        if self.ncc_border == "full" and self.ncc_window > min(self.crop_size):
            raise ValueError(
                f"ncc_window must fit into crop_size {self.crop_size} where ncc_border is full, "
                f"got {self.ncc_window}"
            )
        self.damage.check_size(self.crop_size)

    @classmethod
    def release(cls) -> GVSLConfig:
        """As released, with all that the default repairs."""
        return cls(
            affine_gradient=False,
            own_axis_shifts=False,
            consistent_sampling=False,
            single_sampling=False,
            centered_elastic=False,
            stable_correlation=False,
            from_identity=False,
            distinct_subjects=False,
        )

    @property
    def input_size(self) -> tuple[int, int, int]:
        """The size of a crop."""
        return self.crop_size

    @property
    def default_backbone(self) -> GVSLUNetConfig:
        """The published U-Net."""
        return GVSLUNetConfig()

    def dissimilarity(self) -> Callable[[Tensor, Tensor], Tensor]:
        """The loss of a moved and a fixed scan."""
        if self.similarity == "mind":
            return mind
        return partial(
            local_ncc,
            window=self.ncc_window,
            border=self.ncc_border,
            stable=self.stable_correlation,
        )

    def build(self, backbone: Backbone) -> GVSL:
        """The method on any backbone."""
        return GVSL(backbone, self)
