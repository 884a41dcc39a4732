"""A network's arguments from the plans that nnU-Net writes for a data set."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from selfscan.errors import SelfscanError
from selfscan.networks.nnunet import NORM_EPSILON, NNUNetConfig
from selfscan.networks.plain_unet import PlainUNetConfig
from selfscan.networks.resenc_unet import ResEncUNetConfig

_KNOWN: dict[str, type[NNUNetConfig]] = {
    config.architecture: config for config in (ResEncUNetConfig, PlainUNetConfig)
}


def backbone_from_plans(path: Path, *, configuration: str = "3d_fullres") -> NNUNetConfig:
    """The network of one configuration of `nnUNetPlans.json` and its like.

    nnU-Net's axes are those of arrays (Z, Y, X) after `transpose_forward`; here they are turned
    back to (X, Y, Z).

    Raises:
        SelfscanError: It is no such file, has no such configuration, or one of another network.
    """
    try:
        plans = json.loads(Path(path).read_text(encoding="utf-8"))
        chosen = _configuration(plans["configurations"], configuration)
        order = plans["transpose_forward"]
        described = chosen["architecture"]
        name, arguments = described["network_class_name"], described["arch_kwargs"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SelfscanError(
            f"{path}: found no network of a configuration {configuration!r} ({error!r}); expected "
            "the plans of nnU-Net 2.4 or later, as nnUNetv2_plan_experiment writes them"
        ) from error
    try:
        return config_of(name, arguments, order=order)
    except KeyError as error:
        raise SelfscanError(
            f"{path}: configuration {configuration}: found no {error}; expected the arguments of "
            f"{name}; have nnU-Net plan again"
        ) from error
    except (SelfscanError, ValueError, TypeError) as error:
        raise SelfscanError(f"{path}: configuration {configuration}: {error}") from error


def config_of(
    name: str, arguments: Mapping[str, Any], *, order: Sequence[int] = (0, 1, 2)
) -> NNUNetConfig:
    """The network of a class of dynamic-network-architectures and its arguments.

    Args:
        name: The class, with or without its module.
        arguments: As plans have them, `arch_kwargs`.
        order: The plans' `transpose_forward`.

    Raises:
        SelfscanError: It is another network than those here, or one of other layers.
        ValueError: The arguments contradict each other.
    """
    kind = _KNOWN.get(name.rpartition(".")[2])
    if kind is None:
        raise SelfscanError(f"found the network {name}; expected one of {', '.join(_KNOWN)}")
    levels = arguments["n_stages"]
    norm = arguments.get("norm_op_kwargs") or {}
    layers = {
        "kernels along three axes": _is_3d(arguments["kernel_sizes"]),
        "instance norm": "InstanceNorm3d" in str(arguments.get("norm_op")),
        f"norm_op_kwargs with affine and eps {NORM_EPSILON}": (
            norm.get("affine") is True and norm.get("eps", NORM_EPSILON) == NORM_EPSILON
        ),
        "leaky ReLU": "LeakyReLU" in str(arguments.get("nonlin"))
        and "negative_slope" not in (arguments.get("nonlin_kwargs") or {}),
        "no dropout": not arguments.get("dropout_op"),
    }
    if missing := [layer for layer, there in layers.items() if not there]:
        raise SelfscanError(f"found {name} of other layers; expected {', '.join(missing)}")
    known = ("n_blocks_per_stage", "n_conv_per_stage", "n_conv_per_stage_decoder")
    depths = {
        name: (count,) * levels if isinstance(count, int) else tuple(count)
        for name, count in arguments.items()
        if name in known
    }
    fields = {
        "n_blocks_per_stage": "blocks",
        "n_conv_per_stage": "convolutions",
        "n_conv_per_stage_decoder": "decoder_convolutions",
    }
    return kind(
        features=tuple(arguments["features_per_stage"]),
        strides=_triples(arguments["strides"], order),
        kernel_sizes=_triples(arguments["kernel_sizes"], order),
        bias=bool(arguments["conv_bias"]),
        **{
            fields[name]: depth[: levels - name.endswith("decoder")]
            for name, depth in depths.items()
        },
    )


def _configuration(configurations: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A configuration with what it inherits from another."""
    chosen = dict(configurations[name])
    parent = chosen.pop("inherits_from", None)
    return chosen if parent is None else {**_configuration(configurations, parent), **chosen}


def _is_3d(edges: Any) -> bool:
    return isinstance(edges, Sequence) and all(len(triple) == 3 for triple in edges)


def _triples(
    values: Sequence[Sequence[int]], order: Sequence[int]
) -> tuple[tuple[int, int, int], ...]:
    """Numbers along the network's axes as numbers along (X, Y, Z)."""
    axes = [list(order).index(axis) for axis in (2, 1, 0)]
    return tuple((row[axes[0]], row[axes[1]], row[axes[2]]) for row in values)
