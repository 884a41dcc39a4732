"""Scans that begin where another scan of the patient ends, on one grid: parts of one, most likely.

So it is where the slices of a DICOM series lie in several folders, each of which is read as a scan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.spatial import KDTree

from selfscan.scans.record import ScanRecord

WARNING = (
    "begins or ends where another scan of the patient goes on: a part of one series that lies in "
    "several folders?"
)
_NEAR = 0.6  # of a voxel: resampling may move the end of a scan by half of one
_SAME = 1e-3


def told_parts(records: Sequence[ScanRecord]) -> list[ScanRecord]:
    """The records, those with a warning that continue one another along an axis.

    Both have the same axes, spacing and patient, and the same number of voxels along the other two.
    """
    if len(records) < 2:
        return list(records)
    affines = np.array([record.affine for record in records])
    shapes = np.array([record.shape for record in records])
    axes, origins = affines[:, :3, :3], affines[:, :3, 3]
    tree, parts = KDTree(origins), set[int]()
    reach = _NEAR * np.linalg.norm(axes, axis=(1, 2))
    for axis in range(3):
        ends = origins + axes[:, :, axis] * shapes[:, axis, None]
        for one, others in enumerate(tree.query_ball_point(ends, reach)):
            for other in others:
                if (
                    records[one].subject == records[other].subject
                    and np.abs(np.linalg.solve(axes[one], origins[other] - ends[one])).max() < _NEAR
                    and np.allclose(axes[one], axes[other], atol=_SAME)
                    and np.ptp(np.delete(shapes[[one, other]], axis, axis=1), axis=0).max() == 0
                ):
                    parts |= {one, other}
    return [
        replace(record, warnings=(*record.warnings, WARNING)) if i in parts else record
        for i, record in enumerate(records)
    ]
