"""The damage that GVSL has a network repair: small blocks shuffled, intensities bent, boxes noised.

Source: He et al., "Geometric Visual Similarity Learning", CVPR 2023; after Models Genesis (Zhou et
al., MICCAI 2019), from which it differs in that all blocks of an example have one size and one
permutation, that curves always rise, and that there are many small boxes.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from selfscan.transforms.curve import CurveParameters, apply_curve, draw_curve
from selfscan.transforms.masking import (
    MOST_WINDOWS,
    PaintParameters,
    apply_inpainting,
    draw_painting,
)
from selfscan.transforms.random import KeyedGenerator
from selfscan.transforms.shuffle import ShuffleParameters, apply_shuffle, draw_shuffle
from selfscan.transforms.windows import Size, WindowRange

_BORDER = 3  # voxels at the faces that no box touches


@dataclass(frozen=True)
class DamageConfig:
    """How often and how much is damaged; defaults are those of the release.

    Attributes:
        shuffle_probability: Of shuffling blocks.
        shuffle_blocks: Blocks that are shuffled, one over another.
        curve_probability: Of the intensity curve.
        boxes: Boxes of noise, at most.
        box_probability: Of going on, before each further box.
    """

    shuffle_probability: float = 0.8
    shuffle_blocks: int = 5000
    curve_probability: float = 0.9
    boxes: int = 30
    box_probability: float = 0.95

    def __post_init__(self) -> None:
        """Refuse values without a meaning."""
        for name in ("shuffle_probability", "curve_probability", "box_probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], got {getattr(self, name)}")
        if self.shuffle_blocks < 1:
            raise ValueError(f"shuffle_blocks must be at least 1, got {self.shuffle_blocks}")
        if not 1 <= self.boxes <= MOST_WINDOWS:
            raise ValueError(f"boxes must lie in [1, {MOST_WINDOWS}], got {self.boxes}")

    def check_size(self, size: Size) -> None:
        """Refuse crops too small for boxes of noise, with a ValueError."""
        _boxes(size)


@dataclass(frozen=True)
class Damage:
    """The random parameters of a batch.

    `shuffled` and `curved` hold the numbers within the batch of the examples that are, int64; the
    parameters beside each are those of these alone.
    """

    shuffled: Tensor
    shuffle: ShuffleParameters
    curved: Tensor
    curve: CurveParameters
    boxes: PaintParameters


def draw_damage(random: KeyedGenerator, size: Size, config: DamageConfig) -> Damage:
    """Draw for a batch of crops of so many voxels along (X, Y, Z)."""
    shuffled = random.bernoulli(config.shuffle_probability).nonzero().flatten()
    curved = random.bernoulli(config.curve_probability).nonzero().flatten()
    blocks = draw_shuffle(random.branch(shuffled), _blocks(size), windows=config.shuffle_blocks)
    # Blocks of one size and one seed are permuted alike.
    alike = blocks.seeds[:, :1].expand_as(blocks.seeds)
    return Damage(
        shuffled,
        ShuffleParameters(blocks.windows, alike),
        curved,
        draw_curve(random.branch(curved), falling_probability=0.0),
        draw_painting(
            random,
            _boxes(size),
            most=config.boxes,
            continue_probability=config.box_probability,
        ),
    )


def apply_damage(volumes: Tensor, parameters: Damage) -> Tensor:
    """Shuffle, bend and fill volumes (B, C, X, Y, Z) in [0, 1]; they stay in [0, 1]."""
    p, damaged = parameters, volumes.clone()
    if len(p.shuffled):
        damaged[p.shuffled] = apply_shuffle(damaged[p.shuffled], p.shuffle)
    if len(p.curved):
        damaged[p.curved] = apply_curve(damaged[p.curved], p.curve)
    return apply_inpainting(damaged, p.boxes)


def _blocks(size: Size) -> WindowRange:
    """Blocks of a twentieth of each axis; of one voxel, which is no change, where that is less."""
    x, y, z = (max(length // 20, 1) for length in size)
    return WindowRange(size, (x, y, z), (x, y, z))


def _boxes(size: Size) -> WindowRange:
    """Boxes with edges from a tenth to less than a fifth of the axis."""
    x, y, z = (length // 10 for length in size)
    i, j, k = (length // 5 - 1 for length in size)
    return WindowRange(size, (x, y, z), (i, j, k), _BORDER)
