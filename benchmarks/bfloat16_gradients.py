"""Weight gradients of bfloat16 convolutions on this CPU beside those of float32, by map size.

    python benchmarks/bfloat16_gradients.py

Memory that was just freed is filled with a mark first, so that a kernel which reads more than it
was given shows it. Prints, for a 3x3x3 convolution of 64 channels, the largest error over eight
repetitions, relative to the largest float32 gradient, and whether they agree to the bit.
"""

from __future__ import annotations

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

MAPS = ((1, 1, 1), (2, 2, 1), (2, 2, 2), (3, 3, 3), (4, 4, 2), (4, 4, 4), (8, 8, 4))
CHANNELS, REPETITIONS, MARK = 64, 8, 1e30


def main() -> None:
    torch.manual_seed(0)
    table = Table("map", "largest error", "repetitions agree", title=f"PyTorch {torch.__version__}")
    for size in MAPS:
        layer = nn.Conv3d(CHANNELS, CHANNELS, 3, padding=1)
        volumes = torch.randn(2, CHANNELS, *size)
        exact = gradient(layer, volumes, bfloat16=False)
        rounded = [gradient(layer, volumes, bfloat16=True) for _ in range(REPETITIONS)]
        error = max(float((g - exact).abs().max() / exact.abs().max()) for g in rounded)
        agree = all(torch.equal(g, rounded[0]) for g in rounded)
        table.add_row(" x ".join(map(str, size)), f"{error:.2g}", "yes" if agree else "no")
    Console().print(table)


def gradient(layer: nn.Conv3d, volumes: Tensor, *, bfloat16: bool) -> Tensor:
    layer.zero_grad()
    mark_freed_memory()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
        output = layer(volumes)
    output.float().square().sum().backward()
    assert layer.weight.grad is not None
    return layer.weight.grad.clone()


def mark_freed_memory() -> None:
    for length in (2**10, 2**12, 2**14, 2**16, 2**18, 2**20):
        marked = [torch.full((length,), MARK) for _ in range(20)]
        del marked


if __name__ == "__main__":
    main()
