import nibabel
import numpy as np
import pytest

from selfscan.scans.formats.nifti_affine import nifti_affine

SHAPE = (3, 4, 5)


def affine_of(**fields):
    """The result for a header with sform identity, whose fields are then overwritten unchecked."""
    header = nibabel.Nifti1Header()
    header.set_data_shape(SHAPE)
    header.set_sform(np.eye(4), code=1)
    for name, value in fields.items():
        header[name] = value
    return nifti_affine(header, SHAPE)


@pytest.mark.parametrize(("unit", "scale", "word"), [(1, 1000, "meters"), (3, 0.001, "microns")])
def test_other_units_become_millimeters_with_a_warning(unit, scale, word):
    affine, (warning,) = affine_of(xyzt_units=unit + 8)
    np.testing.assert_allclose(affine, np.diag([scale, scale, scale, 1]))
    assert word in warning


def test_sform_goes_before_qform_and_a_conflict_is_told():
    affine, (warning,) = affine_of(qform_code=1, pixdim=[1, 2, 2, 2, 1, 1, 1, 1])
    np.testing.assert_array_equal(affine, np.eye(4))
    assert "sform and qform disagree" in warning


def test_forms_that_differ_by_rounding_are_no_conflict():
    affine, warnings = affine_of(qform_code=1, pixdim=[1, 1.001, 1, 1, 1, 1, 1, 1])
    np.testing.assert_array_equal(affine, np.eye(4))
    assert warnings == []


def test_qform_stands_in_for_a_missing_sform():
    # A quaternion (0, 0, 0, 1) turns x and y by 180 degrees; a sign of 0 counts as 1.
    fields = {"pixdim": [0, 2, 3, 4, 1, 1, 1, 1], "quatern_d": 1.0, "qoffset_x": 9.0}
    affine, warnings = affine_of(sform_code=0, qform_code=1, **fields)
    expected = np.diag([-2.0, -3, 4, 1])
    expected[0, 3] = 9
    np.testing.assert_allclose(affine, expected, atol=1e-6)
    assert warnings == []


@pytest.mark.parametrize("form", [{}, {"qform_code": 1, "quatern_b": 5.0}])
def test_without_a_form_the_spacing_is_left_and_a_warning(form):
    affine, (warning,) = affine_of(sform_code=0, pixdim=[1, 2, 3, 4, 0, 0, 0, 0], **form)
    np.testing.assert_array_equal(affine, np.diag([2, 3, 4, 1]))
    assert "orientation is unknown" in warning
