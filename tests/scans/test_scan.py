from pathlib import Path

import numpy as np

from selfscan.scans.scan import Scan


def test_shape_path_and_added_warnings():
    scan = Scan(np.zeros((2, 3, 4, 5)), np.eye(4), source=(Path("a.nii"), Path("b.nii")))
    assert scan.shape == (3, 4, 5)
    assert scan.path == Path("a.nii")
    told = scan.with_warnings("first").with_warnings("second", "third")
    assert told.warnings == ("first", "second", "third")
    assert scan.warnings == ()
