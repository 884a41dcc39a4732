"""Two whole scans and a trained method that aligns scans: where does one lie in the other?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from lightning_fabric import Fabric
from torch import Tensor

from selfscan.checkpoints.checkpoint import Checkpoint, load
from selfscan.checkpoints.loading import load_weights
from selfscan.errors import SelfscanError
from selfscan.losses.local_ncc import local_ncc
from selfscan.methods.gvsl import GVSL, GVSLConfig
from selfscan.networks.z_matching import Match
from selfscan.scans.contract import Prepared
from selfscan.scans.crops.across import Box
from selfscan.scans.crops.reading import cut_volume
from selfscan.scans.preparation.foreground import bounding_box
from selfscan.scans.store import Store
from selfscan.spatial_transformer import affine_places, released_places
from selfscan.training.moving import Grid, move_onto
from selfscan.training.registration import Affine, Registration
from selfscan.transforms.intensity import to_unit


@dataclass(frozen=True, eq=False)
class WholeScan:
    """A scan in memory, prepared.

    Attributes:
        volume: As stored, (C, X, Y, Z), int16.
        hounsfield: Which channels are CT, C of them.
        affine: Voxels to mm, (4, 4).
        body: First voxel of the box around the body, and one past the last.
    """

    volume: npt.NDArray[np.int16]
    hounsfield: tuple[bool, ...]
    affine: Affine
    body: Box

    @classmethod
    def of(cls, prepared: Prepared) -> WholeScan:
        """A scan that was prepared just now."""
        body = bounding_box(prepared.foreground)
        return cls(prepared.volume, prepared.hounsfield, prepared.affine, body)

    @classmethod
    def stored(cls, store: Store, i: int) -> WholeScan:
        """Scan i of a store."""
        record = store[i]
        return cls(store.read(i), record.hounsfield, np.array(record.affine), record.foreground_box)


@dataclass(frozen=True, eq=False)
class Matched:
    """What the network saw of two scans, and how it aligned them.

    Attributes:
        moving: The moving crop in [0, 1], (C, X, Y, Z).
        fixed: The fixed crop, likewise.
        registration: From the fixed to the moving scan.
    """

    moving: npt.NDArray[np.float32]
    fixed: npt.NDArray[np.float32]
    registration: Registration

    def correlation(self, registration: Registration) -> float:
        """The local correlation of the fixed crop and the moving one, moved by a registration.

        The mean square over windows of 9 voxels an edge that lie wholly inside the crop, in [0, 1].
        """
        x, y, z = self.fixed.shape[1:]
        moved = move_onto(
            Grid((x, y, z), registration.fixed),
            self.moving,
            registration.moving,
            registration,
            outside=[0.0] * len(self.moving),
        )
        volumes = (torch.from_numpy(volume)[None] for volume in (moved, self.fixed))
        return 1 - float(local_ncc(*volumes, border="full"))


@torch.no_grad()
def match_scans(method: GVSL, moving: WholeScan, fixed: WholeScan, *, fabric: Fabric) -> Matched:
    """Align two scans.

    Of each the network sees one crop: the middle of the scan or of its body, or all of it resized,
    as the method was trained on. Positions that were drawn in training are the middle here.

    Args:
        method: In evaluation mode, on the device of `fabric`.
        moving: The scan to move.
        fixed: The scan to move it onto.
        fabric: Device and precision.
    """
    moving_crop, moving_affine = _middle_crop(method, moving)
    fixed_crop, fixed_affine = _middle_crop(method, fixed)
    with fabric.autocast():
        match, _ = method.match(moving_crop.to(fabric.device), fixed_crop.to(fabric.device))
    registration = Registration(
        fixed=fixed_affine,
        moving=moving_affine,
        matrix=_voxel_matrix(match, consistent=method.config.consistent_sampling),
        displacements=match.displacements[0].cpu().numpy(),
    )
    return Matched(moving_crop[0].numpy(), fixed_crop[0].numpy(), registration)


def load_matching(path: Path) -> tuple[GVSL, Checkpoint]:
    """Rebuild a method that aligns scans from its run folder or checkpoint file, to evaluate it.

    Raises:
        SelfscanError: The checkpoint is of a method that does not, or of another task, or its
            weights do not fit.
    """
    checkpoint = load(path)
    config = checkpoint.method
    if checkpoint.task != "pretraining" or not isinstance(config, GVSLConfig):
        name = config.name if config else "no method"
        raise SelfscanError(
            f"{path}: found a checkpoint of {checkpoint.task} with {name}; expected one of "
            f"pretraining with {GVSLConfig.name}, whose heads align scans; "
            f"pre-train it first (selfscan pretrain --method {GVSLConfig.name})"
        )
    method = config.build(checkpoint.backbone.build(checkpoint.in_channels))
    load_weights(method, checkpoint.weights, minimum_share=1.0)
    return method.eval(), checkpoint


def _middle_crop(method: GVSL, scan: WholeScan) -> tuple[Tensor, Affine]:
    """What the network sees of a scan, (1, C, X, Y, Z) in [0, 1], and its voxels to mm."""
    x, y, z = scan.volume.shape[1:]
    crop = method.crops.middle((x, y, z), scan.body)
    stored = torch.from_numpy(cut_volume(scan.volume, scan.hounsfield, crop))[None]
    units = to_unit(stored, torch.tensor([scan.hounsfield]), window_hu=method.config.window_hu)
    return units, scan.affine @ crop.to_scan


def _voxel_matrix(match: Match, *, consistent: bool) -> Affine:
    """The matrix of a match as one on voxels: where the origin and a step along each axis go."""
    size = match.displacements.shape[2:]
    probes = torch.eye(4, dtype=torch.float64)[1:].view(1, 3, 4, 1, 1)
    if not consistent:
        probes = released_places(probes, size)
    mapped = affine_places(match.matrices.double().cpu(), probes, size)[0, :, :, 0, 0].numpy()
    matrix = np.eye(4)
    matrix[:3, 3], matrix[:3, :3] = mapped[:, 0], mapped[:, 1:] - mapped[:, :1]
    return matrix
