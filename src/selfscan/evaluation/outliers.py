"""Which scans of a store are far from the rest, and in what: spacing, shape or intensity."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from selfscan.scans.record import ScanRecord

FEWEST = 10  # scans of a modality, below which none is called far from the rest
# The least width of the middle of a store, so that no scan stands out from equal ones by a trifle.
_LEAST_LOG, _LEAST_HU = 0.2, 100.0
_LEAST_LOG_RANGE = 0.5
_MEDIAN, _LOW, _HIGH = 128, 2, 253  # among 256 quantiles: the 50%, 1% and 99% ones

Array = npt.NDArray[np.float64]


def geometry_outliers(records: Sequence[ScanRecord]) -> dict[str, list[str]]:
    """For the scans of unusual spacing or shape what is unusual, in words that begin with it."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for group in _by_modality(records):
        for name, unit in (("spacing", " mm"), ("shape", " voxels")):
            values = np.array([getattr(record, name) for record in group], dtype=float)
            for axis, letter in enumerate("xyz"):
                for i in np.flatnonzero(far(np.log(values[:, axis]), least=_LEAST_LOG)):
                    usual = np.median(values[:, axis])
                    found[group[i].id].append(
                        f"{name} {values[i, axis]:.3g}{unit} along {letter}, half have {usual:.3g} "
                        "or less"
                    )
    return dict(found)


def intensity_outliers(
    records: Sequence[ScanRecord], levels: Mapping[str, Array]
) -> dict[str, list[str]]:
    """The same of the body's intensities, for the scans whose quantiles are given by id.

    In CT the median and the 99% quantile count, in other modalities the factor of the range, since
    only CT has units that all scanners share.
    """
    found: defaultdict[str, list[str]] = defaultdict(list)
    for group in _by_modality([record for record in records if record.id in levels]):
        table = np.array([levels[record.id] for record in group])
        if group[0].hounsfield[0]:
            measured = {"median": table[:, _MEDIAN], "99% quantile": table[:, _HIGH]}
            logs, least, unit = measured, _LEAST_HU, " HU"
        else:
            measured = {"range of 98%": np.maximum(table[:, _HIGH] - table[:, _LOW], 1e-9)}
            logs = {name: np.log(values) for name, values in measured.items()}
            least, unit = _LEAST_LOG_RANGE, ""
        for name, values in measured.items():
            for i in np.flatnonzero(far(logs[name], least=least)):
                found[group[i].id].append(
                    f"intensity: {name} of the body {values[i]:.3g}{unit}, usually "
                    f"{np.median(values):.3g}"
                )
    return dict(found)


def far(values: Array, *, least: float) -> npt.NDArray[np.bool_]:
    """Whether each value lies farther from the middle 80% than these are wide.

    A second kind of scan, such as a tenth of the store with thick slices, is not far: such scans
    belong to the middle, or widen it.

    Args:
        values: Shape (N,).
        least: Of the width of the middle.
    """
    if len(values) < FEWEST:
        return np.zeros(len(values), dtype=bool)
    low, high = np.quantile(values, [0.1, 0.9])
    width = max(float(high - low), least)
    return np.asarray((values < low - width) | (values > high + width))


def _by_modality(records: Sequence[ScanRecord]) -> list[list[ScanRecord]]:
    groups: defaultdict[tuple[str, ...], list[ScanRecord]] = defaultdict(list)
    for record in records:
        groups[record.modality].append(record)
    return list(groups.values())
