from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from selfscan.errors import ScanError
from selfscan.scans.formats.slices import SliceHeader, stack_slices

OBLIQUE = (0.0, 0.6, -0.8, 1.0, 0.0, 0.0)
NORMAL = np.cross(OBLIQUE[:3], OBLIQUE[3:])


def header(number, step_mm=3.0, sideways=(0.0, 0.0, 0.0)):
    position = tuple(np.array([5.0, 6.0, 7.0]) + number * (step_mm * NORMAL + np.array(sideways)))
    return SliceHeader(
        path=Path(f"{number}.dcm"),
        series="1.2",
        uid=f"1.2.{number}",
        sop_class="1.2.840.10008.5.1.4.1.1.4",
        image_type=("ORIGINAL", "PRIMARY"),
        burned_in=False,
        modality="MR",
        subject=None,
        gray=True,
        frames=1,
        size=(4, 5),
        spacing=(1.0, 1.0),
        orientation=OBLIQUE,
        position=position,
    )


def test_the_order_is_that_along_the_normal():
    stack = stack_slices(Path("series"), [header(number) for number in (3, 0, 2, 1)])
    assert [slice_.path.name for slice_ in stack.headers] == ["0.dcm", "1.dcm", "2.dcm", "3.dcm"]
    assert stack.step_mm == pytest.approx(3)
    assert stack.tilt_degrees == pytest.approx(0, abs=1e-4)


def test_a_stack_that_leans_is_tilted():
    lean = np.array(OBLIQUE[3:]) * 3 * np.tan(np.radians(10))
    stack = stack_slices(Path("series"), [header(number, sideways=lean) for number in range(4)])
    assert stack.tilt_degrees == pytest.approx(10)
    assert stack.step_mm == pytest.approx(3)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"orientation": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)}, "several orientations"),
        ({"spacing": (1.0, 2.0)}, "pixel sizes"),
        ({"size": (9, 9)}, "pixel sizes"),
        ({"position": None}, "1 of 3 slices without geometry"),
        ({"orientation": None}, "without geometry"),
    ],
)
def test_one_slice_of_another_kind_ends_the_series(change, found):
    headers = [header(0), header(1), replace(header(2), **change)]
    with pytest.raises(ScanError, match=found):
        stack_slices(Path("series"), headers)
