"""The model card: where weights come from, what they expect, and what may be done with them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from selfscan.checkpoints.checkpoint import Checkpoint, Task
from selfscan.exits.leaving import Leaving

# As the hub names what a model does.
_PIPELINES: dict[Task, str] = {
    "pretraining": "image-feature-extraction",
    "segmentation": "image-segmentation",
    "classification": "image-classification",
}


def model_card(model: Leaving, *, usage: str) -> str:
    """A README in Markdown, its head as the Hugging Face Hub reads it.

    Args:
        model: What leaves.
        usage: How to use this form, as Markdown.
    """
    checkpoint = model.checkpoint
    method = checkpoint.method.name if checkpoint.method else "none"
    tags = ["medical-imaging", "3d", checkpoint.backbone.name, f"pretraining-{method}"]
    tag_lines = "\n".join(f"- {tag}" for tag in tags)
    results = results_of(model)
    rows = [f"| {name} | {value:.4g} |" for name, value in results.items()]
    table = "\n".join(["| measure | value |", "|---|---|", *rows]) if rows else "None on record."
    return f"""---
library_name: selfscan
license: other
license_name: see-below
pipeline_tag: {_PIPELINES[checkpoint.task]}
tags:
{tag_lines}
---

# {checkpoint.backbone.name}, {checkpoint.task}

Written by selfscan {checkpoint.version}. Not a medical device; not for clinical use.

## Use

{usage}

## What it expects

{expectations(checkpoint)}

## Where it comes from

* Method of pre-training: {method}{_source(checkpoint)}
* Network: `{json.dumps(checkpoint.to_json()["backbone"])}`
* Trained on {checkpoint.scans} scans, {checkpoint.steps} optimizer steps; digest of the data \
`{checkpoint.store_digest or "unknown"}`
{_origin(checkpoint)}
## License and patents

{checkpoint.license_note or "No note. Whoever trained these weights decides on their license."}

## Results on record

{table}
"""


def expectations(checkpoint: Checkpoint) -> str:
    """The preprocessing contract in words."""
    contract = checkpoint.contract
    grid = (
        "each scan's own spacing"
        if contract.spacing is None
        else f"{' x '.join(f'{step:g}' for step in contract.spacing)} mm along (X, Y, Z)"
    )
    low, high = checkpoint.window_hu
    first, last = contract.percentiles
    labels = ", ".join(f"{value} {name}" for value, name in checkpoint.label_names.items())
    kind = "Classes of scans" if checkpoint.task == "classification" else "Labels"
    return (
        f"* Volumes (B, {checkpoint.in_channels}, X, Y, Z), axes toward right, front and top "
        f"({contract.orientation}+), at {grid}\n"
        f"* CT: {low:g} to {high:g} HU become 0 to 1, clipped. Other modalities: the {first:g} and "
        f"{last:g} percentiles of a scan become 0 and 1, clipped\n"
        f"* Trained on crops of {' x '.join(map(str, checkpoint.crop_size))} voxels"
        + (f"\n* {kind}: {labels}" if labels else "")
    )


def results_of(model: Leaving) -> dict[str, float]:
    """What the run's `metrics.csv` has for the step of this checkpoint, but for training losses."""
    path = model.path.parent / "metrics.csv"
    if not path.is_file():
        return {}
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    step = str(model.checkpoint.steps)
    return {
        row["name"]: float(row["value"])
        for row in rows
        if row["step"] == step and not row["name"].startswith("train/")
    }


def _source(checkpoint: Checkpoint) -> str:
    return f" ({checkpoint.method.source})" if checkpoint.method else ""


def _origin(checkpoint: Checkpoint) -> str:
    return f"* Began as the file {checkpoint.origin}\n" if checkpoint.origin else ""


def write_card(model: Leaving, path: Path, *, usage: str) -> None:
    """Write the card."""
    path.write_text(model_card(model, usage=usage), encoding="utf-8")
