"""An auto-encoder of whole scans, whose bottleneck tells patients apart (TransVW's first step)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from selfscan.methods.method import MethodConfig, OptimizerConfig, Views
from selfscan.methods.restoration import Restoration
from selfscan.networks.backbone import Backbone
from selfscan.networks.unet3d import UNet3DConfig
from selfscan.scans.crops import Batch, WholeScans
from selfscan.scans.crops.across import Within
from selfscan.transforms.intensity import to_unit
from selfscan.transforms.random import KeyedGenerator

_RELEASED_OPTIMIZER = OptimizerConfig(algorithm="adam", learning_rate=1e-3)


class Autoencoder(Restoration):
    """Restore a whole scan, resized to a fixed size, from what passes the bottleneck.

    One example is one scan, without augmentation; the loss is the squared error, averaged over all
    voxels. The mean of the bottleneck over its positions describes a patient: `embed`.

    Source: Haghighi et al., "Transferable Visual Words", IEEE TMI 40(10), 2021, arXiv 2102.10680,
    and its release.

    Deviations from the release: the learning rate follows a cosine over a number of steps that is
    given, where the release halves it when the loss stands still and stops early; the best
    checkpoint is that of the lowest validation loss in both. Scans are drawn with replacement, not
    in epochs. The release had skip connections off, later on; here they are off, since with them
    the finest maps can be copied to the output, and the bottleneck may mean nothing. A backbone
    with `skips` keeps them.

    License: see `AutoencoderConfig.license_note` on the patents before commercial use.

    Args:
        backbone: Needs a decoder that reaches full resolution, and features of a volume that do not
            depend on its batch.
        config: The hyper-parameters.

    Raises:
        ValueError: The backbone is not such a one, or cannot take scans of this size.
    """

    def __init__(self, backbone: Backbone, config: AutoencoderConfig) -> None:
        super().__init__(backbone, crop_size=config.crop_size, name=config.name, lower_rate=1e-4)
        if backbone.mixes_batch:
            raise ValueError(
                "autoencoder describes each scan by itself: it needs a backbone whose features do "
                "not depend on the batch, got one with batch statistics; choose "
                "backbone.norm batch or instance"
            )
        self.config = config
        self.crops = WholeScans(config.crop_size, config.within)

    def draw(self, batch: Batch, random: KeyedGenerator) -> None:
        """Nothing: a scan is shown as it is."""

    def transform(self, batch: Batch, parameters: Any) -> Views:
        """The scan in [0, 1], to be restored from itself."""
        volumes, hounsfield = batch.volumes[:, 0], batch.hounsfield[:, 0]
        scan = to_unit(volumes, hounsfield, window_hu=self.config.window_hu)
        return {"distorted": scan, "target": scan}

    def embed(self, scans: Tensor) -> Tensor:
        """The mean of the coarsest map of scans (B, C, X, Y, Z), (B, F), float32, not normalized.

        In evaluation mode, which takes the running statistics of the norms.
        """
        bottleneck = self.backbone.encode(scans)[-1]
        return bottleneck.float().mean(dim=(2, 3, 4))


@dataclass(frozen=True)
class AutoencoderConfig(MethodConfig):
    """Hyper-parameters of TransVW's auto-encoder; defaults are those of its release.

    Attributes:
        window_hu: CT is clipped to this range of Hounsfield units and scaled to [0, 1].
        batch_size: Scans in a batch on each device.
        optimizer: Adam; see `Autoencoder` on its schedule.
        crop_size: Voxels along (X, Y, Z) that a scan is resized to.
        within: Whether all of the `scan` is seen, or the box around its `body`.
    """

    name: ClassVar[str] = "autoencoder"
    source: ClassVar[str] = (
        "Haghighi et al., Transferable Visual Words, IEEE TMI 40(10), 2021 (arXiv 2102.10680): "
        "its first step"
    )
    license_note: ClassVar[str] = (
        "Independent implementation under Apache-2.0. The authors' release of TransVW is for "
        "non-commercial research only, and US patents 11,763,952, 12,277,687 and 12,469,315 are on "
        "the method that this is the first step of: an open license settles copyright, not "
        "patents, so ask before commercial use."
    )

    batch_size: int = 8
    optimizer: OptimizerConfig = _RELEASED_OPTIMIZER
    crop_size: tuple[int, int, int] = (128, 128, 64)
    within: Within = "scan"

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        super().__post_init__()
        WholeScans(self.crop_size, self.within)

    @property
    def input_size(self) -> tuple[int, int, int]:
        """The size of a resized scan."""
        return self.crop_size

    @property
    def default_backbone(self) -> UNet3DConfig:
        """The published network: running statistics, no skips, no weights between levels."""
        return UNet3DConfig(norm="batch", skips=False, enlargement="nearest")

    def build(self, backbone: Backbone) -> Autoencoder:
        """The method on a backbone whose decoder reaches full resolution."""
        return Autoencoder(backbone, self)
