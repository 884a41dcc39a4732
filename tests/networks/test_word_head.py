"""The word head: its formula layer by layer, logits in full precision, any width and size."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from selfscan.networks.word_head import WordHead


def test_the_head_is_its_formula() -> None:
    torch.manual_seed(0)
    head, maps = WordHead(6, words=5), torch.rand(3, 6, 4, 3, 2)
    convolution, norm, _ = head.block
    wide = functional.conv3d(maps, convolution.weight, convolution.bias, padding=1)
    centered = wide - wide.mean(dim=(0, 2, 3, 4), keepdim=True)
    spread = wide.var(dim=(0, 2, 3, 4), keepdim=True, unbiased=False)
    normal = (centered / (spread + norm.eps).sqrt()).clamp_min(0)
    expected = normal.flatten(2).mean(dim=2) @ head.classifier.weight.T + head.classifier.bias
    torch.testing.assert_close(head(maps), expected)
    assert wide.shape[1] == 12


@pytest.mark.parametrize("words", [44, 45, 50])
def test_published_sizes(words: int) -> None:
    with torch.device("meta"):
        head = WordHead(512, words=words)
    assert sum(weight.numel() for weight in head.parameters()) == 14_203_948 + 1025 * (words - 44)


def test_logits_have_full_precision_under_autocast() -> None:
    head = WordHead(4, words=3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert head(torch.rand(2, 4, 2, 2, 2)).dtype == torch.float32
