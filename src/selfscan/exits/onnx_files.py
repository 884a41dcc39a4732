"""To ONNX: encoder and segmentation model as graphs, and in JSON what must be done to a scan."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from selfscan.exits.card import write_card
from selfscan.exits.leaving import Encoder, Leaving, require_equal
from selfscan.extras import optional

_USAGE = """`encoder.onnx` gives the maps of the encoder, fine to coarse. A fine-tuned model has
`segmentation.onnx` too, which gives logits; the largest is the label. Both take one crop of the
size given in `preprocessing.json`, which also says how a scan becomes crops: window by window,
overlapping by half, weighted by a Gaussian."""


def write_onnx(model: Leaving, folder: Path) -> float:
    """Write the graphs and `preprocessing.json`; the largest difference of ONNX Runtime.

    Raises:
        SelfscanError: A package is missing, or ONNX Runtime computes something else.
    """
    graphs: dict[str, tuple[nn.Module, list[str]]] = {
        "encoder": (
            Encoder(model.backbone).eval(),
            [f"level_{level}" for level in range(len(model.backbone.encoder_pyramid))],
        )
    }
    if model.segmenter is not None:
        graphs["segmentation"] = (model.segmenter, ["logits"])
    differences = [
        _write_graph(module, model.example(), folder / f"{name}.onnx", outputs)
        for name, (module, outputs) in graphs.items()
    ]
    described = preprocessing(model) | {
        "graphs": {f"{name}.onnx": outputs for name, (_, outputs) in graphs.items()}
    }
    (folder / "preprocessing.json").write_text(json.dumps(described, indent=2) + "\n")
    write_card(model, folder / "README.md", usage=_USAGE)
    return max(differences)


def preprocessing(model: Leaving) -> dict[str, Any]:
    """What a program that knows nothing of this one must do to a scan."""
    checkpoint, contract = model.checkpoint, model.checkpoint.contract
    return {
        "input": "volumes",
        "shape": [1, checkpoint.in_channels, *checkpoint.crop_size],
        "axes": ["batch", "channel", "x", "y", "z"],
        "orientation": f"{contract.orientation}+",
        "spacing_mm": contract.spacing,
        "ct": {"window_hu": checkpoint.window_hu, "becomes": [0, 1], "clipped": True},
        "other": {"percentiles": contract.percentiles, "become": [0, 1], "clipped": True},
        "windows": {"overlap": 0.5, "weights": "gaussian"},
        "labels": {str(value): name for value, name in checkpoint.label_names.items()},
        "checkpoint": checkpoint.to_json(),
    }


def _write_graph(module: nn.Module, volumes: Tensor, path: Path, outputs: list[str]) -> float:
    for package in ("onnx", "onnxscript"):
        optional(package, extra="onnx", purpose="to write ONNX")
    runtime = optional("onnxruntime", extra="onnx", purpose="to compare what ONNX computes")
    # It tells of each package that it could have supported.
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (volumes,),
            path,
            input_names=["volumes"],
            output_names=outputs,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        expected = module(volumes)
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found = session.run(outputs, {"volumes": volumes.numpy()})
    ours = [expected] if isinstance(expected, Tensor) else list(expected)
    return require_equal(ours, [torch.from_numpy(array) for array in found], form=path.name)
