"""Checkpoints of nnssl, which say themselves how their network is built and where it stands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from selfscan.checkpoints.foreign import tensors_in
from selfscan.checkpoints.published.layout import (
    AXES_TURNED,
    Published,
    turned,
    without_prefix,
)
from selfscan.errors import SelfscanError
from selfscan.networks.nnunet import NNUNetConfig, name_here
from selfscan.networks.plans import config_of
from selfscan.networks.resenc_unet import ResEncUNetConfig
from selfscan.scans.contract import PreprocessingContract

PLAN = "nnssl_adaptation_plan"
LICENSE = (
    "The file states no license. nnssl's code is under CC-BY-SA-4.0; look for the terms of these "
    "weights where they were published, and cite the papers that they ask for."
)
_WINDOW_HU = (-1000.0, 1000.0)
_WITHOUT_SKIPS = "NoSkipResEncL"


def read_nnssl(content: Mapping[str, Any], path: Path) -> Published:
    """The encoder, and the decoder where it is nnU-Net's; trained on arrays (Z, Y, X), so turned.

    nnssl gives each scan mean 0 and deviation 1. That cannot be said in a contract here, and hardly
    matters: the norm behind the first convolution takes scale and offset out again.

    Raises:
        SelfscanError: It is no checkpoint of nnssl, or of another network, such as a transformer.
    """
    try:
        plan = _plan_of(content[PLAN])
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise SelfscanError(
            f"{path}: found no {PLAN} that can be read ({error!r}); expected a checkpoint that "
            "nnssl wrote with one; take checkpoint_final.pth of such a run"
        ) from error
    config = _config_of(plan, path)
    tensors, notes = without_prefix(tensors_in(content), "module.", "_orig_mod.")
    weights: dict[str, Tensor] = {}
    dropped: dict[str, str] = {}
    for name, tensor in tensors.items():
        ours = _our_name(name, plan)
        if ours is None:
            dropped[name] = "a head, or a decoder's copy of the encoder"
        elif ours.startswith("decoder.") and plan.network == _WITHOUT_SKIPS:
            dropped[name] = "a decoder without skips, another network"
        elif ours in weights:
            dropped[name] = "a second name of the same layer"
        else:
            weights[ours] = turned(tensor)
    if not any(name.startswith("encoder.stages.") for name in weights):
        raise SelfscanError(
            f"{path}: found no tensor at {plan.encoder} among {len(tensors)}, first "
            f"{', '.join(list(tensors)[:3]) or 'none'}; expected the encoder there, as the file's "
            "own plan says; copy it again"
        )
    whole = any(name.startswith("decoder.") for name in weights)
    return Published(
        backbone=config,
        weights=weights,
        contract=PreprocessingContract(spacing=plan.spacing),
        window_hu=_WINDOW_HU,
        crop_size=plan.crop_size,
        license_note=LICENSE,
        part="backbone" if whole else "encoder",
        adapted={name: AXES_TURNED for name, weight in weights.items() if weight.ndim == 5},
        dropped=dropped,
        notes=(
            *notes,
            "trained on scans of mean 0 and deviation 1 each; here they come in [0, 1], and the "
            "first norm takes scale and offset out again",
        ),
    )


@dataclass(frozen=True)
class _Plan:
    """What the adaptation plan says; sizes along (X, Y, Z)."""

    network: str
    arguments: Mapping[str, Any] | None
    order: tuple[int, ...]
    encoder: str
    stem: str
    spacing: tuple[float, float, float] | None
    crop_size: tuple[int, int, int]


def _plan_of(plan: Mapping[str, Any]) -> _Plan:
    pretrained = plan["pretrain_plan"]
    (configuration, *_) = pretrained["configurations"].values()
    spacing = configuration["spacing"]
    z, y, x = configuration["patch_size"] or plan["recommended_downstream_patchsize"]
    return _Plan(
        network=plan["architecture_plans"]["arch_class_name"],
        arguments=plan["architecture_plans"]["arch_kwargs"],
        order=tuple(pretrained["transpose_forward"]),
        encoder=plan["key_to_encoder"],
        stem=plan["key_to_stem"],
        spacing=spacing and (float(spacing[2]), float(spacing[1]), float(spacing[0])),
        crop_size=(int(x), int(y), int(z)),
    )


def _config_of(plan: _Plan, path: Path) -> NNUNetConfig:
    if plan.order != (0, 1, 2):
        raise SelfscanError(
            f"{path}: found axes in the order {plan.order}; expected (0, 1, 2), arrays (Z, Y, X)"
        )
    if plan.network in ("ResEncL", _WITHOUT_SKIPS):
        return ResEncUNetConfig()
    if plan.arguments is None:
        raise SelfscanError(
            f"{path}: found the network {plan.network}; expected ResEncL, ResidualEncoderUNet or "
            "PlainConvUNet; transformers have no pyramid of features"
        )
    try:
        return config_of(plan.network, plan.arguments)
    except (SelfscanError, ValueError, KeyError) as error:
        raise SelfscanError(f"{path}: {error}") from error


def _our_name(name: str, plan: _Plan) -> str | None:
    for place, ours in ((plan.encoder, "encoder.stages"), (plan.stem, "encoder.stem")):
        if name.startswith(f"{place}."):
            return name_here(ours + name[len(place) :])
    inner = name.removeprefix(plan.encoder.removesuffix("encoder.stages"))
    return name_here(inner) if re.match(r"decoder\.(stages|transpconvs)\.", inner) else None
