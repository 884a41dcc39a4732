from __future__ import annotations

import pickle

from selfscan.errors import ScanError


def test_a_scan_error_says_what_was_found_expected_and_to_do() -> None:
    error = ScanError("a.nii", found="0 bytes", expected="a NIfTI file", remedy="copy it again")
    assert str(error) == "a.nii: found 0 bytes; expected a NIfTI file; copy it again"
    assert error.reason == "found 0 bytes; expected a NIfTI file; copy it again"


def test_a_scan_error_travels_between_processes() -> None:
    error = ScanError("a.nii", found="0 bytes", expected="a NIfTI file", remedy="copy it again")
    twin = pickle.loads(pickle.dumps(error))
    assert (twin.path, twin.reason) == (error.path, error.reason)
