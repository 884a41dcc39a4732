"""To MONAI: a bundle whose network is TorchScript, so that plain MONAI runs it."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from selfscan.checkpoints.swin_unetr import write_monai_weights
from selfscan.exits.bundle_configuration import inference, metadata
from selfscan.exits.card import write_card
from selfscan.exits.leaving import Leaving, require_equal
from selfscan.networks.backbone import Backbone
from selfscan.networks.pyramid_heads import enlarge
from selfscan.networks.swin_unetr import SwinUNETRConfig

_USAGE = """With `pip install monai fire pytorch-ignite nibabel`, in this folder, scans in `scans/`:

```
python -m monai.bundle run --config_file configs/inference.json --bundle_root .
```

writes {what} into `predictions/`. Other folders: `--dataset_dir DIR --output_dir DIR`. For MR and
other modalities add `--modality mr`.{channels} Scans are resampled by MONAI's linear
interpolation, ours averages where it makes voxels larger, so results at another spacing differ a
little from `selfscan predict`."""


class DenseMaps(nn.Module):
    """The finest maps of a backbone, enlarged to one vector a voxel."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, volumes: Tensor) -> Tensor:
        """Maps (B, F, X, Y, Z) of volumes (B, C, X, Y, Z) in [0, 1]."""
        maps = self.backbone(volumes).dense[0]
        return enlarge(maps, self.backbone.dense_pyramid.strides[0], volumes.shape[2:])


class EncoderMaps(nn.Module):
    """The finest maps of a backbone's encoder, enlarged to one vector a voxel."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, volumes: Tensor) -> Tensor:
        """Maps (B, F, X, Y, Z) of volumes (B, C, X, Y, Z) in [0, 1]."""
        stride = self.backbone.encoder_pyramid.strides[0]
        return enlarge(self.backbone.encode(volumes)[0], stride, volumes.shape[2:])


def write_bundle(model: Leaving, folder: Path) -> float:
    """Write `configs/`, `models/` and `docs/`; the difference of the network read again.

    Raises:
        SelfscanError: What MONAI reads from the bundle computes something else.
    """
    for name in ("configs", "models", "docs"):
        (folder / name).mkdir()
    network = bundled_network(model)
    volumes = model.example()
    # Python values in the network become constants: a bundle has one size of windows.
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.jit.trace(network, volumes, check_trace=False).save(folder / "models" / "model.ts")
        expected = network(volumes)
    described = (("inference", inference(model)), ("metadata", metadata(model, expected.shape[1])))
    for name, content in described:
        (folder / "configs" / f"{name}.json").write_text(json.dumps(content, indent=4) + "\n")
    if isinstance(model.checkpoint.backbone, SwinUNETRConfig):
        write_monai_weights(
            model.checkpoint,
            folder / "models" / "swin_unetr.pt",
            part=model.checkpoint.part,
            patch_merging=model.checkpoint.backbone.patch_merging,
        )
    several = model.checkpoint.in_channels > 1
    write_card(
        model,
        folder / "docs" / "README.md",
        usage=_USAGE.format(
            what="label maps" if model.segmenter else "the finest features of each voxel",
            channels=" A case is CASE_0000.nii.gz, CASE_0001.nii.gz, ..." if several else "",
        ),
    )
    with torch.no_grad():
        found = _network_of(folder)(volumes)
    return require_equal([expected], [found], form="monai")


def bundled_network(model: Leaving) -> nn.Module:
    """The module of the bundle: logits of a fine-tuned model, else the finest maps."""
    if model.segmenter is not None:
        return model.segmenter
    if model.checkpoint.part == "encoder":
        return EncoderMaps(model.backbone).eval()
    return DenseMaps(model.backbone).eval()


def _network_of(folder: Path) -> Any:
    """The network as MONAI's own reader of bundles builds it."""
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    parser.read_config(folder / "configs" / "inference.json")
    parser["bundle_root"] = str(folder)
    parser["device"] = torch.device("cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return parser.get_parsed_content("network")
