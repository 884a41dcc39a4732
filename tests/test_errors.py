from __future__ import annotations

import pickle
import signal
from pathlib import Path

from selfscan.errors import Interrupted, ScanError, without_names


def test_a_scan_error_says_what_was_found_expected_and_to_do() -> None:
    error = ScanError("a.nii", found="0 bytes", expected="a NIfTI file", remedy="copy it again")
    assert str(error) == "a.nii: found 0 bytes; expected a NIfTI file; copy it again"
    assert error.reason == "found 0 bytes; expected a NIfTI file; copy it again"


def test_a_scan_error_travels_between_processes() -> None:
    error = ScanError("a.nii", found="0 bytes", expected="a NIfTI file", remedy="copy it again")
    twin = pickle.loads(pickle.dumps(error))
    assert (twin.path, twin.reason) == (error.path, error.reason)


def test_an_interruption_says_how_to_go_on_and_travels_between_processes() -> None:
    error = Interrupted(signal.SIGTERM, "step 7 is saved")
    for one in (error, pickle.loads(pickle.dumps(error))):
        assert str(one) == "stopped by SIGTERM; step 7 is saved"
        assert one.exit_code == 143


def test_what_others_say_of_a_file_is_told_without_its_name() -> None:
    file = Path("/scans/DOE^JANE/ct of jane.nii")
    said = f"cannot open {file}: ct of jane.nii is locked"
    assert without_names(said, [file]) == "cannot open the file: the file is locked"
