"""What kind of scan the voxels are, where no header says it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from selfscan.scans.scan import Modality

# Numbers of the Hounsfield scale: air is -1000, fat -100, soft tissue up to 100, bone from 200.
_AIR_HU = (-1100, -800)
_BODY_HU = (-200, 300)
_PADDING_HU = -1500  # scanners fill what they did not measure with -2000, -2048, -3024 and the like
_LEAST_AIR, _LEAST_BODY, _LEAST_EXPLAINED = 0.01, 0.01, 0.6
_SAMPLE = 1_000_000


def guess_modality(channel: npt.NDArray[Any]) -> Modality:
    """`ct` where the values (X, Y, Z) lie as on the Hounsfield scale, else `other`.

    The rule: bone is there (a value of 200 or more); at least 1 % of the voxels is air (-1100 to
    -800) or padding (below -1500, at one value), and at least 1 % fat and soft tissue (-200 to
    300); and padding, air, lung and soft tissue (-1100 to 300) are 60 % of all voxels or more. MR,
    PET and z-scores have no air so far below zero; phase images reach it, but spread evenly.
    """
    step = max(1, channel.size // _SAMPLE)
    sample = channel.ravel(order="K")[::step]
    if sample.min() > _AIR_HU[1] or channel.max() < 200:
        return "other"
    padding = _share(sample == sample.min()) if sample.min() < _PADDING_HU else 0.0
    air = _share((sample >= _AIR_HU[0]) & (sample <= _AIR_HU[1]))
    body = _share((sample >= _BODY_HU[0]) & (sample <= _BODY_HU[1]))
    explained = padding + _share((sample >= _AIR_HU[0]) & (sample <= _BODY_HU[1]))
    is_ct = air + padding >= _LEAST_AIR and body >= _LEAST_BODY and explained >= _LEAST_EXPLAINED
    return "ct" if is_ct else "other"


def _share(condition: npt.NDArray[np.bool_]) -> float:
    return float(condition.mean())
