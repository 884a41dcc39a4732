from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_store import write_small_store

from selfscan.evaluation.outliers import far, geometry_outliers, intensity_outliers
from selfscan.scans.record import ScanRecord
from selfscan.scans.store import Store


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[ScanRecord]:
    """Twenty CT of 2 mm."""
    one = Store(write_small_store(Path(tmp_path_factory.mktemp("store"))))[0]
    return [replace(one, id=f"scan-{n:02d}") for n in range(20)]


def test_far_is_beyond_the_middle_by_its_width() -> None:
    # The middle 80% of 0..100 is 10 to 90, its width 80.
    values = np.arange(101.0)
    assert not far(values, least=1.0).any()
    values[100] = 169.0
    assert not far(values, least=1.0).any()
    values[100] = 171.0
    assert far(values, least=1.0).nonzero()[0].tolist() == [100]
    assert not far(values, least=82.0).any()


def test_few_scans_or_a_second_kind_are_not_far() -> None:
    assert not far(np.array([1.0] * 8 + [50.0]), least=0.1).any()
    assert not far(np.array([1.0] * 80 + [50.0] * 20), least=0.1).any()
    assert far(np.array([1.0] * 96 + [50.0] * 4), least=0.1).sum() == 4


def test_spacing_and_shape_are_compared_within_a_modality(records: list[ScanRecord]) -> None:
    odd = replace(records[0], spacing=(2.0, 2.0, 10.0), shape=(16, 16, 3))
    alone = replace(records[1], modality=("mr",), spacing=(9.0, 9.0, 9.0))
    found = geometry_outliers([odd, alone, *records[2:]])
    assert found == {
        "scan-00": [
            "spacing 10 mm along z, half have 2 or less",
            "shape 3 voxels along z, half have 16 or less",
        ]
    }


def test_intensities_in_hounsfield_units_and_in_others(records: list[ScanRecord]) -> None:
    usual = np.linspace(-100, 300, 256)
    levels = {record.id: usual for record in records} | {"scan-05": usual - 1024}
    found = intensity_outliers(records, levels)
    assert list(found) == ["scan-05"]
    assert found["scan-05"][0].startswith("intensity: median of the body -923 HU, usually 10")
    mr = [replace(record, modality=("mr",)) for record in records]
    assert intensity_outliers(mr, levels) == {}
    levels["scan-07"] = 30 * usual
    assert list(intensity_outliers(mr, levels)) == ["scan-07"]
