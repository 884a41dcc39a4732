"""The tensors of the published Y-network by name and shape, as its specification lists them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_STAGES = {"64": (1, 32, 64), "128": (64, 64, 128), "256": (128, 128, 256), "512": (256, 256, 512)}
_UP = {"64": (192, 64), "128": (384, 128), "256": (768, 256)}


def published_shapes(words: int = 44) -> dict[str, tuple[int, ...]]:
    """All 115 names and their shapes."""
    shapes: dict[str, tuple[int, ...]] = {}

    def block(name: str, entry: int, exit: int) -> None:
        shapes[f"{name}.conv1.weight"] = (exit, entry, 3, 3, 3)
        shapes[f"{name}.conv1.bias"] = (exit,)
        for kind in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.bn1.{kind}"] = (exit,)
        shapes[f"{name}.bn1.num_batches_tracked"] = ()

    for stage, (entry, middle, exit) in _STAGES.items():
        block(f"down_tr{stage}.ops.0", entry, middle)
        block(f"down_tr{stage}.ops.1", middle, exit)
    for stage, (joined, exit) in _UP.items():
        below = 2 * exit
        shapes[f"up_tr{stage}.up_conv.weight"] = (below, below, 2, 2, 2)
        shapes[f"up_tr{stage}.up_conv.bias"] = (below,)
        block(f"up_tr{stage}.ops.0", joined, exit)
        block(f"up_tr{stage}.ops.1", exit, exit)
    shapes["out_tr.final_conv.weight"], shapes["out_tr.final_conv.bias"] = (1, 64, 1, 1, 1), (1,)
    block("clc_out", 512, 1024)
    shapes["clc_out.fc1.weight"], shapes["clc_out.fc1.bias"] = (words, 1024), (words,)
    return shapes


def filled(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Every tensor by the rule of the specification: sines of the index and the name's place."""
    tensors: dict[str, Tensor] = {}
    for number, name in enumerate(sorted(shapes)):
        shape = shapes[name]
        count = math.prod(shape)
        sines = torch.sin(0.37 * torch.arange(count, dtype=torch.float64) + number).view(shape)
        kind = name.rpartition(".")[2]
        if kind == "num_batches_tracked":
            tensors[name] = torch.tensor(0)
        elif kind == "running_mean":
            tensors[name] = torch.zeros_like(sines)
        elif kind == "running_var":
            tensors[name] = torch.ones_like(sines)
        elif len(shape) > 1:
            tensors[name] = sines / math.sqrt(count / shape[0])
        else:
            tensors[name] = 0.1 * sines if kind == "bias" else 1 + 0.1 * sines
    return tensors
