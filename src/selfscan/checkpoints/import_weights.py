"""The verb `import`: a checkpoint that others published becomes one of ours, whole or not."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from selfscan.checkpoints.checkpoint import Checkpoint, save
from selfscan.checkpoints.foreign import read_content
from selfscan.checkpoints.loading import LoadReport, load_weights, tell_load_report, weights_of
from selfscan.checkpoints.published import READERS
from selfscan.checkpoints.published.layout import Published
from selfscan.checkpoints.published.swin_unetr import read_swin_unetr
from selfscan.configuration import save_config
from selfscan.errors import SelfscanError
from selfscan.files import claim_folder
from selfscan.networks.backbone import Backbone
from selfscan.networks.swin_unetr import PatchMerging
from selfscan.progress import console

MINIMUM_SHARE = 0.9


def import_weights(
    file: Path,
    out: Path,
    *,
    method: str,
    in_channels: int = 1,
    spacing: tuple[float, float, float] | None = None,
    crop_size: tuple[int, int, int] | None = None,
    patch_merging: PatchMerging | None = None,
    overwrite: bool = False,
) -> Path:
    """Turn a published checkpoint into one that every verb here takes.

    The preprocessing that it was trained with becomes the contract, so stores must be prepared
    alike. What became of each tensor is printed and kept in `load_report.json`.

    Args:
        file: As it was published; no code in it can run.
        out: The run folder to write: `best.safetensors`, its description, and the report.
        method: What trained it: `models-genesis` (Genesis_Chest_CT.pt), `models-genesis-nnunet`
            (genesis_nnunet_luna16_006.model), `transvw` (TransVW_chest_ct.pt,
            semantic_genesis_chest_ct.pt), `vox2vec`, `gvsl`, `swin-unetr` (model_swinvit.pt), or
            `nnssl` for any checkpoint of that program.
        in_channels: Channels of the volumes to come; the first layer is adapted to them.
        spacing: Millimeters along (X, Y, Z) to prepare scans with in place of the original's.
        crop_size: Voxels along (X, Y, Z) to go on with in place of the original's.
        patch_merging: For `swin-unetr`, where the names of tensors do not tell: `legacy` if trained
            with MONAI before 1.5, `fixed` since.
        overwrite: Delete what `out` holds.

    Returns:
        The run folder.

    Raises:
        SelfscanError: The file is damaged, runs code, is of another network, or lacks a tensor of
            the encoder or a tenth of all parameters; nothing was written.
        ValueError: There is no such method, or an argument is out of range.
    """
    arguments = dict(locals())
    file, out = Path(file), Path(out)
    if method not in READERS:
        raise ValueError(f"method must be one of {', '.join(READERS)}, got {method!r}")
    reader = READERS[method]
    if patch_merging is not None:
        if reader is not read_swin_unetr:
            raise ValueError(f"patch_merging is for swin-unetr only, got it for {method}")
        reader = partial(read_swin_unetr, patch_merging=patch_merging)
    published = changed(reader(read_content(file), file), spacing, crop_size)
    checkpoint, report = filled_checkpoint(published, file, in_channels=in_channels)
    claim_folder(out, overwrite=overwrite)
    save_config(out, arguments)
    save(checkpoint, out / "best.safetensors")
    tell_load_report(report, out)
    console.print(f"{out}: {published.license_note}", soft_wrap=True, markup=False)
    return out


def changed(
    published: Published,
    spacing: tuple[float, float, float] | None,
    crop_size: tuple[int, int, int] | None,
) -> Published:
    """With another spacing or size of crops than the original's, and a note of each."""
    notes = list(published.notes)
    contract = published.contract
    if spacing is not None and spacing != contract.spacing:
        notes.append(f"spacing {contract.spacing} of the original replaced by {spacing} mm")
        contract = replace(contract, spacing=spacing)
    if crop_size is not None and crop_size != published.crop_size:
        notes.append(f"crops of {published.crop_size} voxels replaced by {crop_size}")
    return replace(
        published,
        contract=contract,
        crop_size=crop_size or published.crop_size,
        notes=tuple(notes),
    )


def filled_checkpoint(
    published: Published, file: Path, *, in_channels: int
) -> tuple[Checkpoint, LoadReport]:
    """Build the network, fill it, and refuse it where it is not whole.

    Raises:
        SelfscanError: A tensor of the encoder is missing, one of the network does not fit, or too
            few were found.
        ValueError: The network cannot be built for so many channels, or for such crops.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = published.backbone.build(in_channels)
    network.check_size(published.crop_size)
    part = published.part
    loaded = load_weights(network, published.weights, part=part, minimum_share=0.0)
    faults = _faults(network, loaded)
    if faults or loaded.share < MINIMUM_SHARE:
        raise SelfscanError(
            f"{file}: found {loaded.share:.1%} of the parameters of the {part} of "
            f"{published.backbone.name}, and {len(faults)} tensors at fault, first "
            f"{'; '.join(f'{name}: {why}' for name, why in list(faults.items())[:4]) or 'none'}; "
            f"expected all of the encoder and {MINIMUM_SHARE:.0%} of all; copy the file again, or "
            "take one of the network as published"
        )
    adapted = published.adapted
    for name, how in loaded.adapted.items():
        adapted = {**adapted, name: f"{adapted[name]}; {how}" if name in adapted else how}
    report = replace(
        loaded,
        loaded=tuple(name for name in loaded.loaded if name not in adapted),
        adapted=adapted,
        skipped={**loaded.skipped, **published.dropped},
        notes=published.notes,
    )
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    weights = {f"backbone.{name}": value for name, value in weights_of(network, part).items()}
    return (
        Checkpoint(
            weights=weights,
            backbone=published.backbone,
            in_channels=in_channels,
            task="pretraining",
            contract=published.contract,
            window_hu=published.window_hu,
            crop_size=published.crop_size,
            part=part,
            method=published.method,
            license_note=published.license_note,
            origin=f"{file.name}, sha256 {digest}",
        ),
        report,
    )


def _faults(network: Backbone, loaded: LoadReport) -> dict[str, str]:
    """Tensors of the file that do not fit, and those of the encoder that it lacks."""
    encoder = weights_of(network, "encoder")
    missing = [name for name in loaded.missing if name in encoder]
    return {**dict.fromkeys(missing, "not in the file"), **loaded.skipped}
