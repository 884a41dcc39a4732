"""To safetensors: the checkpoint in one file with a model card, as a hub shows it."""

from __future__ import annotations

from pathlib import Path

import torch

from selfscan.checkpoints.checkpoint import save
from selfscan.exits.card import write_card
from selfscan.exits.leaving import Encoder, Leaving, leaving, require_equal

FILE = "model.safetensors"
_USAGE = """Every verb takes the file: `selfscan finetune STORE RUN --checkpoint model.safetensors`.
The weights alone, by name, in any program: `safetensors.torch.load_file("model.safetensors")`;
those of the backbone begin with `backbone.`. `model.json` says what they are."""


def write_safetensors(model: Leaving, folder: Path) -> float:
    """Write `model.safetensors`, `model.json` and `README.md`; the difference after re-reading."""
    save(model.checkpoint, folder / FILE)
    write_card(model, folder / "README.md", usage=_USAGE)
    again = leaving(folder / FILE)
    volumes = model.example()
    with torch.no_grad():
        return require_equal(
            Encoder(model.backbone)(volumes), Encoder(again.backbone)(volumes), form="safetensors"
        )
