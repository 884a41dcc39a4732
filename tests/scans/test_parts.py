from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from formats.test_dicom import write_series
from plain_record import plain_record

from selfscan.scans.crew import crew
from selfscan.scans.parts import WARNING, told_parts
from selfscan.scans.prepare import prepare
from selfscan.scans.record import ScanRecord


def record(
    name: str, *, z: float, slices: int = 4, subject: str = "s", x: float = 0.0, **more: Any
) -> ScanRecord:
    """Voxels of 2 x 2 x 5 mm from a height on."""
    affine = ((2.0, 0.0, 0.0, x), (0.0, 2.0, 0.0, 0.0), (0.0, 0.0, 5.0, z), (0.0, 0.0, 0.0, 1.0))
    fields = {"shape": (8, 9, slices), "spacing": (2.0, 2.0, 5.0)} | more
    return plain_record(name, affine=affine, subject=subject, **fields)


def told(*records: ScanRecord) -> list[str]:
    return [one.id for one in told_parts(records) if WARNING in one.warnings]


def test_scans_that_go_on_where_another_ends_are_told() -> None:
    first, rest = record("a", z=-40.0), record("b", z=-20.0, slices=7)
    assert told(first, rest) == ["a", "b"]
    assert told(rest, record("c", z=15.0), first) == ["b", "c", "a"]
    assert told(first) == told() == []


@pytest.mark.parametrize(
    "other",
    [
        {"z": -15.0},
        {"z": -25.0},
        {"z": -40.0},
        {"z": -20.0, "subject": "another"},
        {"z": -20.0, "x": 2.0},
        {"z": -20.0, "shape": (8, 8, 4)},
    ],
)
def test_others_are_not(other: dict[str, Any]) -> None:
    assert told(record("a", z=-40.0), record("b", **other)) == []


@pytest.mark.slow
def test_a_series_in_two_folders_is_told(tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    write_series(scans / "first", [0, 4, 8])
    write_series(scans / "second", [12, 16, 20, 24])
    write_series(scans / "other", [40, 44, 48, 52], uid="1.2.4")
    with crew(1) as client:
        at = client.scheduler_info()["address"]
        store = prepare(scans, tmp_path / "out", scheduler=at)
    assert store is not None
    parts = {record.shape[2]: record.warnings for record in store if WARNING in record.warnings}
    assert sorted(record.shape[2] for record in store) == [3, 4, 4]
    assert sum(WARNING in record.warnings for record in store) == 2
    assert set(parts) == {3, 4}
