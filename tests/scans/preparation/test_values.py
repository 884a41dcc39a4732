import numpy as np
import pytest

from selfscan.errors import ScanError
from selfscan.scans.preparation.values import require_labels, require_values
from selfscan.scans.scan import Scan


def scan(values, dtype=np.float32):
    return Scan(np.array(values, dtype=dtype).reshape(1, -1, 1, 1), np.eye(4))


def test_single_gaps_become_the_least_value():
    mended = require_values(scan([3, np.nan, np.inf, -np.inf, 5]))
    np.testing.assert_array_equal(mended.voxels.ravel(), [3, 3, 3, 3, 5])
    assert mended.voxels.dtype == np.float32
    assert mended.warnings == ("3 voxels of NaN or infinity: replaced by the least finite value",)


def test_sound_values_pass_untouched():
    for given in (scan([1, 2]), scan([1, 2], np.int16)):
        assert require_values(given) is given


@pytest.mark.parametrize(
    ("values", "found"), [([np.nan] * 3, "every voxel"), ([7, 7], "value 7"), ([7, np.nan], "7")]
)
def test_images_of_nothing_are_refused(values, found):
    with pytest.raises(ScanError, match=found):
        require_values(scan(values))


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([0, 0.5], "fractional, such as 0.5"),
        ([0, -1], "negative, such as -1"),
        ([0, np.nan], "NaN"),
        ([0, 40_000], "above 32767, such as 40000"),
    ],
)
def test_values_that_are_no_labels_are_refused(values, found):
    with pytest.raises(ScanError, match=found):
        require_labels(scan(values))


def test_an_empty_map_is_a_map():
    labels = require_labels(scan([0, 0]))
    assert labels.voxels.dtype == np.uint8
    assert labels.warnings == ()


def test_a_stray_255_is_told_and_one_of_many_classes_is_not():
    assert "1 voxels of label 255" in require_labels(scan([0, 1, 2, 255], np.int32)).warnings[0]
    assert require_labels(scan(np.arange(300), np.int16)).warnings == ()


@pytest.mark.parametrize(("count", "warnings"), [(4, 1), (16, 1), (17, 0)])
def test_as_few_values_as_in_a_label_map_are_told(count, warnings):
    voxels = np.resize(np.arange(count, dtype=np.int16), (1, 10, 10, 10))
    scan = require_values(Scan(voxels, np.eye(4)))
    assert len(scan.warnings) == warnings
    assert all(f"{count} values in all voxels" in warning for warning in scan.warnings)
