"""What the reader of a published layout gives, and how it takes names apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from selfscan.errors import SelfscanError
from selfscan.methods.method import MethodConfig
from selfscan.networks.backbone import BackboneConfig, Part
from selfscan.scans.contract import PreprocessingContract

AXES_TURNED = "axes turned from (Z, Y, X) to (X, Y, Z)"


@dataclass(frozen=True)
class Published:
    """A checkpoint of others in the terms used here.

    Attributes:
        backbone: The network's arguments.
        weights: Its tensors by our names, without a prefix.
        contract: The preprocessing that they were trained with.
        window_hu: CT was clipped to this range of Hounsfield units.
        crop_size: What they were trained on, in voxels along (X, Y, Z).
        license_note: What is known of their license and of patents.
        method: The method that trained them; None if it is none of those here.
        part: What of the network they are.
        adapted: How tensors were changed on the way, by our names.
        dropped: Why tensors of the file were left out, by their names.
        notes: What was done to all names, and what preprocessing could not be kept.
    """

    backbone: BackboneConfig
    weights: dict[str, Tensor]
    contract: PreprocessingContract
    window_hu: tuple[float, float]
    crop_size: tuple[int, int, int]
    license_note: str
    method: MethodConfig | None = None
    part: Part = "backbone"
    adapted: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


# From what a file holds, and its path for errors.
Reader = Callable[[Mapping[str, Any], Path], Published]


def without_prefix(
    tensors: Mapping[str, Tensor], *prefixes: str
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Strip one leading prefix of these from every name that has it; say so in notes."""
    stripped: dict[str, Tensor] = {}
    counts: dict[str, int] = {}
    for name, tensor in tensors.items():
        found = next((prefix for prefix in prefixes if name.startswith(prefix)), "")
        stripped[name[len(found) :]] = tensor
        counts[found] = counts.get(found, 0) + 1
    notes = [f"prefix {p} stripped from {n} names" for p, n in counts.items() if p]
    return stripped, tuple(notes)


def require_tensor(tensors: Mapping[str, Tensor], name: str, *, of: str, path: Path) -> Tensor:
    """The tensor that tells a network's size.

    Raises:
        SelfscanError: There is none, so the file is of another network.
    """
    if name not in tensors:
        raise SelfscanError(
            f"{path}: found no {name} among {len(tensors)} tensors, first "
            f"{', '.join(list(tensors)[:3]) or 'none'}; expected {of}; choose the --method that "
            "the file was trained with"
        )
    return tensors[name]


def turned(weight: Tensor) -> Tensor:
    """Kernels for arrays (Z, Y, X) as kernels for arrays (X, Y, Z); other tensors as they are."""
    return weight.permute(0, 1, 4, 3, 2).contiguous() if weight.ndim == 5 else weight
