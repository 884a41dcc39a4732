"""Histograms over a store: spacing and shape of its scans, intensity in their bodies."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from selfscan.evaluation.figures import COLORS, INK, STYLE
from selfscan.scans.record import ScanRecord

USUAL, FAR = COLORS[0], COLORS[1]
AXES = ("left to right (x)", "back to front (y)", "feet to head (z)")
_BINS = 28
_LINES = 12  # outlying scans drawn, at most

Array = npt.NDArray[np.float64]


def histograms(
    records: Sequence[ScanRecord], name: str, unit: str, outliers: Collection[str]
) -> Canvas | None:
    """How often each spacing or shape occurs along each axis; None where all scans have one.

    Args:
        records: All scans.
        name: `spacing` or `shape`.
        unit: Of the values.
        outliers: The ids of scans marked for it.
    """
    values = np.array([getattr(record, name) for record in records], dtype=float)
    if np.allclose(values, values[0], rtol=0.01):
        return None
    is_far = np.array([record.id in outliers for record in records])
    with rc_context(STYLE):
        canvas = Canvas(figsize=(9.1, 2.1), layout="constrained")
        for axis, title in enumerate(AXES):
            panel = canvas.add_subplot(1, 3, axis + 1)
            edges = _edges(values[:, axis])
            if edges[-1] > 20 * edges[0] > 0:
                panel.set_xscale("log")
                panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
                panel.xaxis.set_minor_formatter(NullFormatter())
            parts = [values[~is_far, axis], values[is_far, axis]]
            panel.hist(parts, bins=edges.tolist(), stacked=True, color=[USUAL, FAR])
            panel.set_title(title)
            panel.set_xlabel(f"{name}, {unit}")
            _count_axis(panel)
        canvas.axes[0].set_ylabel("scans")
    return canvas


def intensities(
    records: Sequence[ScanRecord], levels: Mapping[str, Array], outliers: Collection[str]
) -> Canvas | None:
    """The share of the body's voxels at each intensity, a panel a modality.

    The line is the median over scans, the band holds four in five; outlying scans have lines of
    their own.

    Args:
        records: All scans.
        levels: Quantiles of the first channel by id, of those that were read.
        outliers: The ids of scans marked for their intensity.
    """
    looked_at = [record for record in records if record.id in levels]
    modalities = sorted({record.modality[0] for record in looked_at})
    if not modalities:
        return None
    with rc_context(STYLE):
        canvas = Canvas(figsize=(9.1, 2.5), layout="constrained")
        for place, modality in enumerate(modalities):
            panel = canvas.add_subplot(1, len(modalities), place + 1)
            ids = [record.id for record in looked_at if record.modality[0] == modality]
            table = np.array([levels[id] for id in ids])
            low, high = np.quantile(table, [0.002, 0.998])
            edges = np.linspace(low, max(high, low + 1e-6), 61)
            shares = np.array([_shares(row, edges) for row in table])
            middles = (edges[1:] + edges[:-1]) / 2
            band = np.quantile(shares, [0.1, 0.5, 0.9], axis=0)
            panel.fill_between(middles, band[0], band[2], color=USUAL, alpha=0.2, linewidth=0)
            marked = [row for id, row in zip(ids, shares, strict=True) if id in outliers]
            for row in marked[:_LINES]:
                panel.plot(middles, row, color=FAR, linewidth=0.9, alpha=0.8)
            panel.plot(middles, band[1], color=USUAL, linewidth=1.8)
            unit = "HU" if modality == "ct" else "units of the files"
            scans = "1 scan" if len(ids) == 1 else f"{len(ids):,} scans"
            panel.set_title(f"{modality.upper() if modality != 'other' else modality}, {scans}")
            panel.set_xlabel(f"intensity in the body, {unit}")
            panel.set_ylim(bottom=0)
            panel.set_xlim(edges[0], edges[-1])
            panel.xaxis.set_major_locator(MaxNLocator(5))
            panel.yaxis.set_major_locator(MaxNLocator(4))
            panel.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.0f}%"))
        canvas.axes[0].set_ylabel("share of the body", color=INK)
    return canvas


def _shares(levels: Array, edges: Array) -> Array:
    """What share of a scan's voxels lies in each bin; what lies beyond counts at the ends."""
    counts, _ = np.histogram(np.clip(levels, edges[0], edges[-1]), bins=edges)
    smooth = np.convolve(np.pad(counts, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")
    return np.asarray(smooth / len(levels))


def _edges(values: Array) -> Array:
    """Even bins, or evenly growing ones where the largest value is many times the smallest."""
    low, high = float(values.min()), float(values.max())
    if high > 20 * low > 0:
        return np.geomspace(low * 0.98, high * 1.02, _BINS + 1)
    margin = max(0.02 * (high - low), 0.02 * high)
    return np.linspace(max(low - margin, 0.0), high + margin, _BINS + 1)


def _count_axis(panel: Axes) -> None:
    panel.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    panel.grid(axis="y")
    panel.set_axisbelow(True)
