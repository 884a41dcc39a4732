"""What methods that restore share: changes hit the examples they are drawn for, and no other."""

from __future__ import annotations

import torch

from selfscan.methods.restoration import Changes, apply_changes, draw_changes
from selfscan.transforms.masking import inpainting_range, outpainting_range
from selfscan.transforms.random import KeyedGenerator
from selfscan.transforms.shuffle import shuffle_range

SIZE = (16, 16, 16)
HIT = tuple(torch.arange(8) == row for row in (1, 3, 4, 6))


def drawn(least: int = 1) -> Changes:
    shuffled, curved, inpainted, outpainted = HIT
    return draw_changes(
        KeyedGenerator.for_examples(0, torch.arange(8)),
        (shuffled, curved, inpainted, outpainted),
        (shuffle_range(SIZE, max_window=4), inpainting_range(SIZE), outpainting_range(SIZE)),
        shuffle_windows=40,
        inpaint_windows=(least, 2),
        outpaint_windows=(1, 1),
    )


def test_each_change_hits_its_examples_alone() -> None:
    volumes = KeyedGenerator.for_examples(1, torch.arange(8)).uniform(1, *SIZE)
    before = volumes.clone()
    changed = apply_changes(volumes, drawn(), fill="noise", knots=4096)
    assert torch.equal(volumes, before)
    differs = (changed != volumes).flatten(1).any(dim=1)
    assert differs.nonzero().flatten().tolist() == [1, 3, 4, 6]
    assert 0 <= changed.min() < changed.max() <= 1


def test_as_many_windows_are_drawn_as_asked_for() -> None:
    changes = drawn()
    assert changes.inpainting.used.min() >= 1
    assert changes.inpainting.windows.starts.shape[1] == 2
    assert changes.outpainting.used.tolist() == [1]
    assert changes.shuffle.seeds.shape == (1, 40)
