"""What is looked for in a scan after a warp, with the place where it truly is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from selfscan.errors import SelfscanError
from selfscan.evaluation.floors import Box
from selfscan.evaluation.warp import apply_warp, draw_warp
from selfscan.scans.store import Store, outside


@dataclass(frozen=True)
class Queries:
    """Voxels of one volume that are looked for in a target scan.

    Attributes:
        volume: As stored, (C, X, Y, Z).
        hounsfield: Which channels are CT.
        box: The box around its body, first voxel and one past the last.
        voxels: The voxels to look for, (Q, 3).
        truth: Where they are in the target, in its voxels, (Q, 3).
    """

    volume: npt.NDArray[np.int16]
    hounsfield: tuple[bool, ...]
    box: Box
    voxels: npt.NDArray[np.int64]
    truth: npt.NDArray[np.float64]


def warp_queries(
    store: Store, i: int, *, points: int, amplitude_mm: float, scale_mm: float, seed: int
) -> Queries:
    """Voxels of the body of scan i after a random warp; the truth is where each came from.

    Looking from the warped scan into the original makes the truth exact without inverting the warp,
    and leaves the scan that is searched as it was. It is not rounded to voxels.

    Args:
        store: Where the scan is.
        i: Its number; it is the target too.
        points: How many voxels are drawn, without repetition.
        amplitude_mm: Of the warp; see `draw_warp`.
        scale_mm: Of the warp.
        seed: Of the warp and the voxels.

    Raises:
        SelfscanError: The scan has no body.
    """
    record, random = store[i], np.random.default_rng(seed)
    warp = draw_warp(
        random,
        shape=record.shape,
        spacing=record.spacing,
        amplitude_mm=amplitude_mm,
        scale_mm=scale_mm,
    )
    around = outside(record.hounsfield).ravel().tolist()
    volume = apply_warp(store.read(i), warp, outside=around)
    body = apply_warp(store.read_foreground(i)[None].astype(np.uint8), warp, outside=(0,), order=0)[
        0
    ]
    inside = np.flatnonzero(body)
    if not len(inside):
        raise SelfscanError(
            f"{store.path}: found no voxel of the body in {record.id} after the warp; expected "
            "some to look for; leave the scan out, or give a smaller amplitude_mm"
        )
    drawn = np.sort(random.choice(inside, min(points, len(inside)), replace=False))
    voxels = np.stack(np.unravel_index(drawn, body.shape), axis=1)
    return Queries(
        volume,
        record.hounsfield,
        _box(body),
        voxels,
        warp.places(voxels),
    )


def _box(body: npt.NDArray[Any]) -> Box:
    """The box around the true voxels: first voxel, and one past the last."""
    edges = [np.flatnonzero(body.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    return [int(e[0]) for e in edges], [int(e[-1]) + 1 for e in edges]
