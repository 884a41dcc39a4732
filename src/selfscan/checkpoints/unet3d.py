"""The 3D U-Net of Models Genesis, Semantic Genesis and TransVW from the files that they published.

Their encoder-decoders are one network (Zhou et al., MICCAI 2019; Haghighi et al., MICCAI 2020 and
IEEE TMI 2021), so that one reader serves all of them; heads of theirs are listed, and not used.
"""

from __future__ import annotations

import re
from pathlib import Path

from selfscan.checkpoints.foreign import read_tensors
from selfscan.checkpoints.loading import LoadReport, load_weights
from selfscan.errors import SelfscanError
from selfscan.networks.unet3d import Norm, UNet3D, UNet3DConfig

_STAGES = ("64", "128", "256", "512")  # of the published names, fine to coarse
_STEM = "down.0.0.0.weight"
# Their wrappers write these before a name, in any order and number; the spelling is theirs.
_DECORATIONS = re.compile(r"^(module\.|classficationNet\.)*")
_BLOCK = re.compile(r"^(down|up)_tr(\d+)\.ops\.([01])\.(conv1|bn1)\.(\w+)$")
_UP = re.compile(r"^up_tr(\d+)\.up_conv\.(\w+)$")


def read_unet3d(
    path: Path, *, in_channels: int = 1, norm: Norm = "batch-statistics"
) -> tuple[UNet3DConfig, UNet3D, LoadReport]:
    """Build the network that the U-Net in a file belongs to, and fill it.

    The file may be `Genesis_Chest_CT.pt`, `semantic_genesis_chest_ct.pt` or `TransVW_chest_ct.pt`
    as published. The width follows from the shapes. A decoder that the file lacks keeps its random
    weights.

    Args:
        path: A `.pt` or `.pth` file; no code in it can run.
        in_channels: Channels of the volumes; the first layer is adapted to their number.
        norm: `batch-statistics` computes as published. `batch` takes the running statistics of the
            file, which no published network was evaluated by: let them settle on some batches of
            yours in training mode first.

    Returns:
        The network's arguments, the network, and what became of each tensor of the file.

    Raises:
        SelfscanError: The file cannot be read, is of another network, or lacks a tensor of the
            encoder or has one of another shape.
    """
    given = {our_name(name): weight for name, weight in read_tensors(path).items()}
    if _STEM not in given:
        raise SelfscanError(
            f"{path}: found no down_tr64.ops.0.conv1.weight among {len(given)} tensors, first "
            f"{', '.join(list(given)[:3]) or 'none'}; expected the 3D U-Net of Models Genesis, "
            "Semantic Genesis or TransVW; take the .pt file of one of these"
        )
    config = UNet3DConfig(width=len(given[_STEM]), norm=norm)
    # The file has running statistics in any case; whether it is whole is told by all its tensors.
    whole = UNet3DConfig(width=config.width, norm="batch").build(in_channels)
    report = load_weights(whole, given, part="encoder", keep_heads=True, minimum_share=0.0)
    faults = dict.fromkeys(report.missing, "not in the file")
    faults |= {name: why for name, why in report.skipped.items() if name.startswith("down.")}
    if faults:
        expected = sum(name.startswith("down.") for name in whole.state_dict())
        first = "; ".join(f"{name}: {why}" for name, why in list(faults.items())[:4])
        raise SelfscanError(
            f"{path}: found {len(faults)} differences to the encoder of {config}, first {first}; "
            f"expected all {expected} tensors of its four stages down_tr64 to down_tr512; take a "
            "whole file, as published"
        )
    if norm == "batch":
        return config, whole, report
    network = config.build(in_channels)
    return config, network, load_weights(network, given, part="encoder", keep_heads=True)


def our_name(name: str) -> str:
    """What a published tensor of the U-Net is called here; another name without decorations."""
    name = _DECORATIONS.sub("", name)
    if match := _BLOCK.match(name):
        way, stage, number, layer, kind = match.groups()
        stages = "down" if way == "down" else "merges"
        return f"{stages}.{_level(stage)}.{number}.{0 if layer == 'conv1' else 1}.{kind}"
    if match := _UP.match(name):
        return f"ups.{_level(match[1])}.{match[2]}"
    return name


def _level(stage: str) -> int | str:
    return _STAGES.index(stage) if stage in _STAGES else stage
