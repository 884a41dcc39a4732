"""Swin UNETR's weights on their way to plain MONAI, and from the files that others wrote."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from selfscan.checkpoints.checkpoint import Checkpoint
from selfscan.checkpoints.foreign import read_tensors
from selfscan.checkpoints.loading import LoadReport, load_weights
from selfscan.errors import SelfscanError
from selfscan.files import written_atomically
from selfscan.networks.swin_unetr import PatchMerging, SwinUNETR, SwinUNETRConfig

ENCODER = "swinViT."
_BEFORE_1_5 = ("swin_vit.", ".mlp.fc1.")


def monai_weights(
    checkpoint: Checkpoint,
    *,
    part: Literal["encoder", "backbone"] = "encoder",
    patch_merging: PatchMerging = "fixed",
) -> dict[str, Tensor]:
    """The weights that `monai.networks.nets.SwinUNETR.load_state_dict(..., strict=False)` takes.

    Args:
        checkpoint: Of a Swin UNETR.
        part: `encoder` gives `swinViT.*`, 126 tensors by default depths; `backbone` the whole
            network but its last layer `out`.
        patch_merging: That of the network that will take them: `fixed` is MONAI's since 1.5,
            `legacy` a network built with `downsample=LegacyPatchMerging`, or by an older MONAI.

    Raises:
        SelfscanError: The network is another one, or was trained with another patch merging.
    """
    backbone = checkpoint.backbone
    if not isinstance(backbone, SwinUNETRConfig):
        raise SelfscanError(
            f"found a checkpoint of {backbone.name}; expected one of {SwinUNETRConfig.name}, the "
            "network that MONAI has too"
        )
    if backbone.patch_merging != patch_merging:
        raise SelfscanError(
            f"found weights trained with patch_merging={backbone.patch_merging!r}; expected "
            f"{patch_merging!r}, as the other network merges: it would take the weights and "
            "compute something else; build it with "
            "downsample=selfscan.networks.patch_merging.LegacyPatchMerging for 'legacy', "
            f"'merging' for 'fixed', and ask for patch_merging={backbone.patch_merging!r}"
        )
    start = "backbone." + (ENCODER if part == "encoder" else "")
    return {
        name.removeprefix("backbone."): weight.detach().to("cpu", copy=True).contiguous()
        for name, weight in checkpoint.weights.items()
        if name.startswith(start)
    }


def write_monai_weights(
    checkpoint: Checkpoint,
    path: Path,
    *,
    part: Literal["encoder", "backbone"] = "encoder",
    patch_merging: PatchMerging = "fixed",
) -> None:
    """Write what `monai_weights` gives as a `.pt` file, at once or not at all."""
    weights = monai_weights(checkpoint, part=part, patch_merging=patch_merging)
    with written_atomically(path) as temporary:
        torch.save(weights, temporary)


def read_swin_encoder(
    path: Path, *, in_channels: int = 1, patch_merging: PatchMerging | None = None
) -> tuple[SwinUNETRConfig, SwinUNETR, LoadReport]:
    """Build the network that the encoder in a file belongs to, and fill its encoder.

    The file may be `model_swinvit.pt` as published, what the published training scripts write, then
    and now, a fine-tuned Swin UNETR, or what `write_monai_weights` writes. Sizes follow from the
    shapes. The decoder keeps its random weights.

    Args:
        path: A `.pt` or `.pth` file; no code in it can run.
        in_channels: Channels of the volumes; the first layer is adapted to their number.
        patch_merging: That of the network that was trained: `legacy` before MONAI 1.5, `fixed`
            since. None is enough where names are older than 1.5, as in `model_swinvit.pt`.

    Returns:
        The network's arguments, the network, and what became of each tensor of the file.

    Raises:
        SelfscanError: The file cannot be read, is of another network, lacks a tensor of the encoder
            or has one too many or of another shape, or does not tell its patch merging.
    """
    config, weights = swin_encoder_in(read_tensors(path), path, patch_merging=patch_merging)
    network = config.build(in_channels)
    report = load_weights(network, weights, part="encoder", minimum_share=0.0)
    faults = dict.fromkeys(report.missing, "not in the file") | {
        name: why for name, why in report.skipped.items() if name.startswith(ENCODER)
    }
    if faults:
        expected = sum(name.startswith(ENCODER) for name in network.state_dict())
        first = "; ".join(f"{name}: {why}" for name, why in list(faults.items())[:4])
        raise SelfscanError(
            f"{path}: found {len(faults)} differences to the encoder of {config}, first {first}; "
            f"expected its {expected} tensors, by name and shape, and no other of {ENCODER}*; "
            "take a whole file of MONAI's SwinUNETR, not of its version 2"
        )
    return config, network, report


def swin_encoder_in(
    given: Mapping[str, Tensor], path: Path, *, patch_merging: PatchMerging | None
) -> tuple[SwinUNETRConfig, dict[str, Tensor]]:
    """The arguments of the network that tensors of a file belong to, and they by today's names.

    Raises:
        SelfscanError: They are of another network, or do not tell its patch merging.
    """
    weights = {_todays_name(name): weight for name, weight in given.items()}
    if any(name.startswith(("encoder.layers", "encoder.mask_token")) for name in weights):
        raise SelfscanError(
            f"{path}: found an encoder of Disruptive Autoencoders, another method; expected one of "
            "Swin UNETR's own pre-training; take the file model_swinvit.pt"
        )
    sizes = _config_of(weights, path)
    return replace(sizes, patch_merging=patch_merging or _merging_told_by(given, path)), weights


def _todays_name(name: str) -> str:
    """What MONAI calls a tensor, from any of the names that it had."""
    name = name.removeprefix("module.")
    name = re.sub(r"^(swin_vit\.|(?=patch_embed\.|layers\d))", ENCODER, name)
    return re.sub(r"\.mlp\.fc([12])\.", r".mlp.linear\1.", name)


def _merging_told_by(names: Iterable[str], path: Path) -> PatchMerging:
    """The patch merging of the time when tensors had such names, as long as it was one only."""
    if any(mark in name for name in names for mark in _BEFORE_1_5):
        return "legacy"
    raise SelfscanError(
        f"{path}: found names that any version of MONAI may have written; expected to know how "
        "patches were merged, as weights trained one way compute something else the other way; "
        "give patch_merging='fixed' if the network was trained with MONAI 1.5 or later, 'legacy' "
        "if before"
    )


def _config_of(weights: Mapping[str, Tensor], path: Path) -> SwinUNETRConfig:
    """The arguments that give the encoder's tensors their shapes."""
    stages = [f"{ENCODER}layers{stage}.0.blocks." for stage in range(1, 5)]
    blocks = [{name.split(".")[4] for name in weights if name.startswith(s)} for s in stages]
    try:
        stem = weights[f"{ENCODER}patch_embed.proj.weight"]
        tables = [weights[f"{stage}0.attn.relative_position_bias_table"] for stage in stages]
    except KeyError as error:
        raise SelfscanError(
            f"{path}: found no {error} among {len(weights)} tensors, first "
            f"{', '.join(list(weights)[:3]) or 'none'}; expected the encoder of MONAI's SwinUNETR; "
            "take a file that holds all of it"
        ) from error
    try:
        return SwinUNETRConfig(
            feature_size=len(stem),
            depths=tuple(len(stage) for stage in blocks),
            heads=tuple(table.shape[-1] for table in tables),
            # A table has a row for each offset between two cells of a window, (2 edge - 1) cubed.
            window_size=(round(len(tables[0]) ** (1 / 3)) + 1) // 2,
        )
    except ValueError as error:
        raise SelfscanError(
            f"{path}: found an encoder that cannot be built: {error}; expected one of MONAI's "
            "SwinUNETR; take another file"
        ) from error
