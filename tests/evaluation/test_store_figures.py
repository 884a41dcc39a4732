from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex
from small_store import write_small_store

from selfscan.evaluation.store_figures import FAR, histograms, intensities
from selfscan.scans.record import ScanRecord
from selfscan.scans.store import Store


@pytest.fixture
def records(tmp_path: Path) -> list[ScanRecord]:
    """Ten CT, the last one of thicker slices."""
    rows = list(Store(write_small_store(tmp_path)))
    return [*rows[:9], replace(rows[9], spacing=(2.0, 2.0, 8.0))]


def test_outliers_are_orange_and_all_scans_are_counted(records: list[ScanRecord]) -> None:
    canvas = histograms(records, "spacing", "mm", {"scan-9"})
    assert canvas is not None
    bars = [bar for bar in canvas.axes[2].patches if bar.get_height() > 0]
    assert sum(bar.get_height() for bar in bars) == 10
    (far,) = [bar for bar in bars if to_hex(bar.get_facecolor()).upper() == FAR.upper()]
    assert far.get_height() == 1
    assert far.get_x() <= 8.0 <= far.get_x() + far.get_width()


def test_one_value_needs_no_histogram(records: list[ScanRecord]) -> None:
    assert histograms(records, "shape", "voxels", ()) is None


def test_a_panel_a_modality(records: list[ScanRecord]) -> None:
    mixed = [*records[:6], *(replace(record, modality=("mr",)) for record in records[6:])]
    levels = {record.id: np.linspace(-100, 300, 256) for record in mixed}
    canvas = intensities(mixed, levels, {"scan-7"})
    assert canvas is not None
    assert [axes.get_title(loc="left") for axes in canvas.axes] == ["CT, 6 scans", "MR, 4 scans"]
    assert [len(axes.lines) for axes in canvas.axes] == [1, 2]
    assert intensities(mixed, {}, ()) is None
