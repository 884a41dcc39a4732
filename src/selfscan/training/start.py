"""Where supervised training starts: a checkpoint or random weights, and a few labelled cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from selfscan.checkpoints.checkpoint import Checkpoint, load, resolve
from selfscan.errors import ContractError, ScanError, SelfscanError
from selfscan.networks.backbone import Backbone, BackboneConfig, Part
from selfscan.progress import console
from selfscan.scans.contract import Prepared
from selfscan.scans.scan import Scan
from selfscan.scans.store import Store
from selfscan.training.seeds import derive_seed

Size = tuple[int, int, int]
WINDOW_HU = (-1000.0, 1000.0)


@dataclass(frozen=True)
class Start:
    """What a network starts from.

    Attributes:
        checkpoint: Whose weights are loaded; None from scratch.
        backbone: The network's arguments.
        in_channels: Channels of the volumes; those of a checkpoint are adapted where they differ.
        window_hu: The window of CT channels.
        crop_size: What the network sees, in voxels.
        part: What of the network is looked at or loaded: all, or the encoder, as a checkpoint may
            hold no more.
    """

    checkpoint: Checkpoint | None
    backbone: BackboneConfig
    in_channels: int
    window_hu: tuple[float, float]
    crop_size: Size
    part: Part = "backbone"

    def build(self, *, seed: int) -> Backbone:
        """The network with random weights, the same for one seed.

        Raises:
            ValueError: It cannot take crops of this size.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(seed, "weights"))
            network = self.backbone.build(self.in_channels)
        network.check_size(self.crop_size)
        return network


def starting_point(
    store: Store,
    *,
    checkpoint: Path | None,
    backbone: BackboneConfig | None,
    crop_size: Size | None,
    window_hu: tuple[float, float] | None,
    part: Part | None = None,
) -> Start:
    """Settle what the checkpoint decides and what the caller decides.

    Args:
        store: The data to train on.
        checkpoint: A run folder or checkpoint file; None starts from scratch.
        backbone: The network; from a checkpoint it is known and may be left out.
        crop_size: None takes the checkpoint's.
        window_hu: None takes the checkpoint's, or (-1000, 1000) from scratch.
        part: None takes what the checkpoint has, or all of the backbone from scratch.

    Raises:
        ContractError: The store was prepared otherwise than what the checkpoint was trained on.
        ValueError: Something is missing, or contradicts the checkpoint.
    """
    if checkpoint is None:
        if backbone is None or crop_size is None:
            missing = "backbone" if backbone is None else "crop_size"
            raise ValueError(f"without a checkpoint a {missing} must be given, got none")
        return Start(
            None, backbone, store.channels, window_hu or WINDOW_HU, crop_size, part or "backbone"
        )
    found = load(resolve(checkpoint))
    found.contract.require(store.contract)
    if backbone is not None and backbone != found.backbone:
        raise ValueError(
            f"backbone must be the checkpoint's, {found.backbone}, or left out, got {backbone}"
        )
    if window_hu is not None and tuple(window_hu) != tuple(found.window_hu):
        raise ValueError(
            f"window_hu must be the checkpoint's, {found.window_hu}, or left out, got {window_hu}"
        )
    if part == "backbone" and found.part == "encoder":
        raise ValueError(
            "part must be encoder, all that the checkpoint has of its backbone, or left out, "
            f"got {part!r}"
        )
    return Start(
        checkpoint=found,
        backbone=found.backbone,
        in_channels=store.channels,
        window_hu=found.window_hu,
        crop_size=crop_size or found.crop_size,
        part=part or found.part,
    )


def require_fit(checkpoint: Checkpoint, store: Store, *, path: Path) -> None:
    """Refuse a store whose volumes are not such as the checkpoint at a path was trained on.

    Raises:
        ContractError: It was prepared otherwise, or has another number of channels.
    """
    checkpoint.contract.require(store.contract)
    if checkpoint.in_channels != store.channels:
        raise ContractError(
            f"{path}: found a network for {checkpoint.in_channels} channels; expected "
            f"{store.channels}, as {store.path} has; pre-train on scans of so many channels"
        )


def prepare_alike(scan: Scan, checkpoint: Checkpoint) -> Prepared:
    """Prepare a scan as the training data of a checkpoint were; tell what was odd about it.

    Raises:
        ScanError: It has another number of channels, or cannot be prepared.
    """
    if len(scan.voxels) != checkpoint.in_channels:
        raise ScanError(
            scan.path,
            found=f"{len(scan.voxels)} channels",
            expected=f"{checkpoint.in_channels}, as the network was trained on",
            remedy="give all channels of a case together: a list of files for register, a data "
            "list or an nnU-Net folder for predict",
        )
    prepared = checkpoint.contract.apply(scan)
    for warning in prepared.warnings:
        console.print(f"{scan.path.name}: {warning}", style="dim", markup=False)
    return prepared


def labelled_cases(store: Store, split: str, cases: int | Sequence[str] | None) -> Store:
    """The labelled scans of a split to learn from.

    Args:
        store: All scans.
        split: The split's name.
        cases: All (None), the first so many in an order that depends on the ids alone, so that
            small subsets lie inside larger ones in every run, or these ids.

    Raises:
        SelfscanError: There are not so many, or an id is not among them.
    """
    if cases is not None and not isinstance(cases, int):
        return store.select(ids=list(cases), labelled=True)
    chosen = store.select(splits=[split], labelled=True)
    if cases is None:
        return chosen
    if not 1 <= cases <= len(chosen):
        raise SelfscanError(
            f"{store.path}: found {len(chosen)} labelled scans in the split {split!r}; "
            f"expected 1 to {len(chosen)} cases to train on, got {cases}"
        )
    order = np.random.default_rng(0).permutation(len(chosen))
    ids = sorted(chosen.ids)
    return chosen.select(ids=[ids[i] for i in order[:cases]])


def labelled_split(store: Store, split: str | None) -> Store | None:
    """The labelled scans of a split, or None where there are none."""
    found = [record.id for record in store if record.split == split and record.labelled]
    return store.select(ids=found) if split is not None and found else None
