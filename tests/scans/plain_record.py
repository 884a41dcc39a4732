"""A row of an index without a scan behind it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from selfscan.scans.record import ScanRecord


def plain_record(id: str, **changes: Any) -> ScanRecord:
    """A CT of 2 x 2 x 2 voxels, whose patient and digests are named as itself."""
    record = ScanRecord(
        id=id,
        subject=id,
        modality=("ct",),
        shape=(2, 2, 2),
        spacing=(1.0, 1.0, 1.0),
        affine=tuple(tuple(float(i == k) for k in range(4)) for i in range(4)),
        intensity_slope=(1.0,),
        intensity_intercept=(0.0,),
        foreground_fraction=1.0,
        foreground_box=((0, 0, 0), (2, 2, 2)),
        source_digest=id,
        volume_digest=id,
    )
    return replace(record, **changes)
