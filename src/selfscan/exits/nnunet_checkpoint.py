"""To nnU-Net: one file for `-pretrained_weights` and, with an adaptation plan, for its others."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from selfscan.checkpoints.published.layout import turned
from selfscan.checkpoints.published.nnssl import PLAN, read_nnssl
from selfscan.errors import SelfscanError
from selfscan.exits.card import write_card
from selfscan.exits.leaving import Leaving, require_equal
from selfscan.networks.nnunet import NNUNetConfig, name_here
from selfscan.networks.plain_unet import PlainUNetConfig
from selfscan.progress import console

FILE = "checkpoint_final.pth"
_IMPORTED = {
    "conv_op": "torch.nn.modules.conv.Conv3d",
    "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
    "nonlin": "torch.nn.modules.activation.LeakyReLU",
}
_WARNING = (
    "nnU-Net gives scans mean 0 and deviation 1 (CT by statistics of the whole data set, other "
    "channels, and all in nnUNetv2_preprocess_like_nnssl, each by itself); these weights saw "
    "{low:g} to {high:g} HU of CT as 0 to 1, clipped. The norm behind the first convolution takes "
    "scale and offset out; the clipping stays different: clip CT to that window before nnU-Net "
    "reads it"
)
_USAGE = """Kernels are turned to nnU-Net's axes (Z, Y, X). Our axes point to right, front and top:
write `"overwrite_image_reader_writer": "NibabelIOWithReorient"` into `dataset.json`, which makes
nnU-Net's do so too, and keep `transpose_forward` at [0, 1, 2].

With an nnU-Net that has `nnUNetv2_preprocess_like_nnssl` (its repository; not the package 2.8.1):

```
nnUNetv2_preprocess_like_nnssl -d ID -n NAME -pc checkpoint_final.pth -am like_pretrained
nnUNetv2_train_pretrained ID 3d_fullres FOLD -p ptPlans__NAME... -tr PretrainedTrainer
```

It takes the encoder. With any nnU-Net 2, encoder and decoder: copy `architecture` and `patch_size`
from `configuration.json` into the plan's `3d_fullres`, then

```
nnUNetv2_train ID 3d_fullres FOLD -p PLANS -pretrained_weights checkpoint_final.pth
```

**Mind:** {warning}.{decoder}"""


def write_nnunet(model: Leaving, folder: Path) -> float:
    """Write the checkpoint, its plan as JSON, `configuration.json` and `README.md`.

    Returns:
        The largest difference of the encoder's maps in the network that the file describes.

    Raises:
        SelfscanError: The network is none of nnU-Net's, or computes something else after reading.
    """
    checkpoint, config = model.checkpoint, model.checkpoint.backbone
    if not isinstance(config, NNUNetConfig):
        raise SelfscanError(
            f"{model.path}: found a checkpoint of {config.name}; expected one of resenc-unet or "
            "plain-unet, which nnU-Net can train; pre-train with --backbone resenc-l, or with the "
            "plans of your data set"
        )
    plan = adaptation_plan(model, config)
    content = {
        "network_weights": nnunet_weights(model, config),
        PLAN: plan,
        "citations": _citations(model),
        "trainer_name": "selfscan",
        "license_note": checkpoint.license_note,
    }
    torch.save(content, folder / FILE)
    (folder / "adaptation_plan.json").write_text(json.dumps(plan, indent=2) + "\n")
    (folder / "configuration.json").write_text(json.dumps(_configuration(plan), indent=2) + "\n")
    low, high = checkpoint.window_hu
    warning = _WARNING.format(low=low, high=high)
    without = "\n\nThis checkpoint has no decoder: that of the file is random."
    usage = _USAGE.format(warning=warning, decoder=without if checkpoint.part == "encoder" else "")
    write_card(model, folder / "README.md", usage=usage)
    difference = _compared(model, folder / FILE)
    console.print(f"[yellow]warning:[/] {warning}", soft_wrap=True, highlight=False)
    return difference


def nnunet_weights(model: Leaving, config: NNUNetConfig) -> dict[str, Tensor]:
    """The state dictionary of nnU-Net's network: all names of each layer, kernels (Z, Y, X).

    What is not in the checkpoint, such as output layers, is random, and always the same.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = _for_arrays(config).library_network(model.checkpoint.in_channels)
    ours = model.backbone.state_dict()
    return {
        name: turned(ours[name_here(name)]).clone() if name_here(name) in ours else weight.clone()
        for name, weight in network.state_dict().items()
    }


def adaptation_plan(model: Leaving, config: NNUNetConfig) -> dict[str, Any]:
    """What nnU-Net must know to build the network, prepare scans and find the encoder."""
    checkpoint = model.checkpoint
    spacing = checkpoint.contract.spacing
    crop_size = list(reversed(checkpoint.crop_size))
    stem = "encoder.stages.0" if isinstance(config, PlainUNetConfig) else "encoder.stem"
    first = f"{stem}.0" if isinstance(config, PlainUNetConfig) else stem
    steps = None if spacing is None else list(reversed(spacing))
    configuration = {
        "data_identifier": "selfscan",
        "preprocessor_name": "DefaultPreprocessor",
        "spacing_style": "noresample" if spacing is None else "fixed",
        "normalization_schemes": ["NoNormalization"] * checkpoint.in_channels,
        "use_mask_for_norm": [False] * checkpoint.in_channels,
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": {"is_seg": False, "order": 3},
        "resampling_fn_mask": "resample_data_or_seg_to_shape",
        "resampling_fn_mask_kwargs": {"is_seg": True, "order": 1},
        "spacing": steps,
        "patch_size": crop_size,
    }
    return {
        "architecture_plans": {
            "arch_class_name": "dynamic_network_architectures.architectures.unet."
            + config.architecture,
            "arch_kwargs": {**_for_arrays(config).arguments(), **_IMPORTED},
            "arch_kwargs_requiring_import": [*_IMPORTED],
        },
        "pretrain_plan": {
            "dataset_name": "selfscan",
            "plans_name": "selfscan",
            "original_median_spacing_after_transp": steps or [1.0, 1.0, 1.0],
            "image_reader_writer": "NibabelIOWithReorient",
            "transpose_forward": [0, 1, 2],
            "transpose_backward": [0, 1, 2],
            "experiment_planner_used": "selfscan",
            "configurations": {"selfscan": configuration},
        },
        "pretrain_num_input_channels": checkpoint.in_channels,
        "recommended_downstream_patchsize": crop_size,
        "key_to_encoder": "encoder.stages",
        "key_to_stem": stem,
        "keys_to_in_proj": [f"{first}.convs.0.conv", f"{first}.convs.0.all_modules.0"],
        "key_to_lpe": None,
        "selfscan": json.loads(json.dumps(checkpoint.to_json())),
    }


def _for_arrays(config: NNUNetConfig) -> NNUNetConfig:
    """The same network for arrays (Z, Y, X)."""
    return replace(
        config,
        strides=tuple((z, y, x) for x, y, z in config.strides),
        kernel_sizes=tuple((z, y, x) for x, y, z in config.kernel_sizes),
    )


def _configuration(plan: dict[str, Any]) -> dict[str, Any]:
    """The part of nnU-Net's plans that must agree with the weights."""
    (pretrained,) = plan["pretrain_plan"]["configurations"].values()
    described = plan["architecture_plans"]
    return {
        "patch_size": plan["recommended_downstream_patchsize"],
        "spacing": pretrained["spacing"],
        "architecture": {
            "network_class_name": described["arch_class_name"],
            "arch_kwargs": described["arch_kwargs"],
            "_kw_requires_import": described["arch_kwargs_requiring_import"],
        },
    }


def _citations(model: Leaving) -> list[dict[str, Any]]:
    method = model.checkpoint.method
    if method is None:
        return []
    return [
        {
            "type": "Pre-training method",
            "name": method.name,
            "apa_citations": [method.source],
        }
    ]


def _compared(model: Leaving, path: Path) -> float:
    """Build the network that the file describes, fill it from the file, and compare."""
    content = torch.load(path, map_location="cpu", weights_only=True)
    again = read_nnssl(content, path)
    config = again.backbone
    if not isinstance(config, NNUNetConfig) or config != model.checkpoint.backbone:
        raise SelfscanError(f"{path}: found {config} after reading; not written")
    network = _for_arrays(config).library_network(model.checkpoint.in_channels)
    network.load_state_dict(content["network_weights"])
    network.eval()
    volumes = model.example()
    with torch.no_grad():
        ours = model.backbone.encode(volumes)
        theirs = network.encoder(volumes.permute(0, 1, 4, 3, 2))
    return require_equal(ours, [level.permute(0, 1, 4, 3, 2) for level in theirs], form="nnunet")
