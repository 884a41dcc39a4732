import numpy as np
import pytest

from selfscan.errors import ScanError
from selfscan.scans.preparation.grid import require_same_grid, require_volume, shift_mm
from selfscan.scans.scan import Scan


def scan(affine=None, shape=(4, 5, 6)):
    return Scan(np.zeros((1, *shape)), np.eye(4) if affine is None else np.array(affine, float))


def test_a_plain_volume_passes_untouched():
    given = scan(np.diag([1, -2, 3, 1]))
    assert require_volume(given) is given


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_slice_along_any_axis_is_refused(axis):
    shape = [4, 4, 4]
    shape[axis] = 1
    with pytest.raises(ScanError, match="one slice"):
        require_volume(scan(shape=shape))


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_spacings_without_a_length_are_refused(value):
    with pytest.raises(ScanError, match="spacing"):
        require_volume(scan(np.diag([1, 1, value, 1])))


def test_axes_in_one_plane_are_refused():
    affine = np.eye(4)
    affine[:3, 2] = [1, 1, 0]
    with pytest.raises(ScanError, match="one plane"):
        require_volume(scan(affine))


def test_shear_is_told_in_degrees():
    affine = np.eye(4)
    affine[:3, 2] = [np.sin(np.radians(30)), 0, np.cos(np.radians(30))]
    assert "30.0 degrees" in require_volume(scan(affine)).warnings[0]


def test_shift_is_that_of_the_worst_corner():
    turned = np.eye(4)
    turned[:2, :2] = [[0, -1], [1, 0]]
    # The corner (3, 4, z) goes to (-4, 3, z).
    assert shift_mm((4, 5, 6), np.eye(4), turned) == pytest.approx(np.hypot(7, 1))
    assert shift_mm((4, 5, 6), turned, turned) == 0


def test_same_grid_allows_a_tenth_of_a_voxel():
    fine = np.diag([0.5, 0.5, 5, 1])
    near, far = fine.copy(), fine.copy()
    near[0, 3], far[0, 3] = 0.04, 0.06
    require_same_grid(scan(fine), scan(near))
    with pytest.raises(ScanError, match=r"0\.06 mm off"):
        require_same_grid(scan(fine), scan(far))
