"""A checkpoint as a network that can compute, and the proof that another form computes the same."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from selfscan.checkpoints.checkpoint import Checkpoint, load, resolve
from selfscan.checkpoints.loading import load_weights
from selfscan.errors import SelfscanError
from selfscan.files import claim_folder
from selfscan.networks.backbone import Backbone
from selfscan.training.segmentation import Segmenter, load_segmenter

TOLERANCE = 1e-4


@dataclass(frozen=True)
class Leaving:
    """What leaves.

    Attributes:
        path: The checkpoint file.
        checkpoint: What it holds.
        backbone: The network, filled, in evaluation mode.
        segmenter: The whole model, where it was fine-tuned.
    """

    path: Path
    checkpoint: Checkpoint
    backbone: Backbone
    segmenter: Segmenter | None

    def example(self) -> Tensor:
        """A volume (1, C, X, Y, Z) in [0, 1] of the size that was trained on; always the same."""
        random = torch.Generator().manual_seed(0)
        return torch.rand(
            1, self.checkpoint.in_channels, *self.checkpoint.crop_size, generator=random
        )


class Encoder(nn.Module):
    """The maps of a backbone's encoder as the outputs of a module."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, volumes: Tensor) -> tuple[Tensor, ...]:
        """Maps fine to coarse of volumes (B, C, X, Y, Z) in [0, 1]."""
        return self.backbone.encode(volumes)


def leaving(run: Path) -> Leaving:
    """Read a run folder or checkpoint file and fill its network.

    Raises:
        SelfscanError: There is none, or it does not hold all of the network.
    """
    path = resolve(run)
    checkpoint = load(path)
    if checkpoint.task == "segmentation":
        segmenter, checkpoint = load_segmenter(path)
        return Leaving(path, checkpoint, segmenter.backbone.eval(), segmenter)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        backbone = checkpoint.backbone.build(checkpoint.in_channels)
    load_weights(
        backbone,
        checkpoint.weights,
        part=checkpoint.part,
        rename={"backbone.": ""},
        minimum_share=1.0,
    )
    return Leaving(path, checkpoint, backbone.eval(), None)


@contextmanager
def written_whole(out: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give a folder beside `out` that takes its place if all goes well, and vanishes if not.

    Raises:
        SelfscanError: `out` holds something, and `overwrite` does not say to delete it.
    """
    if not overwrite:
        claim_folder(out)
    temporary = out.with_name(f".partial.{out.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        claim_folder(out, overwrite=overwrite)
        out.rmdir()
        temporary.replace(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if out.is_dir() and not any(out.iterdir()):
            out.rmdir()


def require_equal(ours: Sequence[Tensor], theirs: Sequence[Tensor], *, form: str) -> float:
    """The largest difference of outputs, relative to the largest of ours if that is above 1.

    Raises:
        SelfscanError: There are more outputs or fewer, of other shapes, or not equal to 1e-4.
    """
    shapes = [[tuple(output.shape) for output in outputs] for outputs in (ours, theirs)]
    if shapes[0] != shapes[1]:
        raise SelfscanError(f"{form}: found outputs {shapes[1]}; expected {shapes[0]}; not written")
    differences = [
        ((one - other).abs().max() / one.abs().max().clamp_min(1.0)).item()
        for one, other in zip(ours, theirs, strict=True)
    ]
    largest = max(differences)
    if not largest <= TOLERANCE:
        raise SelfscanError(
            f"{form}: found outputs that differ by {largest:.2g}; expected {TOLERANCE:g} at most; "
            "nothing was written; please report this with the versions of the packages"
        )
    return largest
