"""The names of tensors in the release of vox2vec."""

from __future__ import annotations

import re


def released_name(name: str, levels: int) -> str:
    """What the release calls an entry of our state; its rising stages count from the coarsest."""
    part, _, rest = name.partition(".")
    if part == "stem":
        return f"first_conv.{rest}"
    level, _, rest = rest.partition(".")
    i, risen = int(level), levels - 2 - int(level)
    stage = re.sub(r"^(\d+)\.layers", r"layers.\1.layers", rest)
    return {
        "down": f"bottom_block.{stage}" if i == levels - 1 else f"left_blocks.{i}.{stage}",
        "widen": f"down_blocks.{i}.1.{rest}",
        "narrow": f"up_blocks.{risen}.0.{rest}",
        "skip": f"skip_blocks.{risen}.{rest}",
        "up": f"right_blocks.{risen}.{stage}",
    }[part]
