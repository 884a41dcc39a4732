"""TransVW as released, `TransVW_chest_ct.pt`, and Semantic Genesis."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfscan.checkpoints.published.layout import Published
from selfscan.checkpoints.published.models_genesis import read_unet
from selfscan.methods.transvw import TransVWConfig

LICENSE = (
    "These weights are the authors' release, for non-commercial research only (Arizona State "
    "University), and US patents 11,763,952, 12,277,687 and 12,469,315 are on the method: ask "
    "before any other use."
)


def read_transvw(content: Mapping[str, Any], path: Path) -> Published:
    """The U-Net, or its encoder where there is no decoder; the classifier of words is dropped.

    Raises:
        SelfscanError: The file is of another network.
    """
    of = "the U-Net of TransVW or Semantic Genesis, as in TransVW_chest_ct.pt"
    return read_unet(content, path, method=TransVWConfig.release(), license=LICENSE, of=of)
