"""A short run of all fuzz targets; `fuzz.py` runs them at length."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).with_name("fuzz.py")
COUNTS = {
    "nifti": 300,
    "labels": 100,
    "nrrd and metaimage": 200,
    "dicom header": 100,
    "dicom series": 10,
    "data list": 200,
    "store": 40,
    "index": 60,
    "volume": 200,
    "weights": 100,
}


@pytest.mark.slow
def test_changed_files_are_read_or_refused(tmp_path: Path) -> None:
    inputs = [f"{target}={count}" for target, count in COUNTS.items()]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", FUZZ, "--out", tmp_path, "--inputs", *inputs],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == len(COUNTS), done.stdout
    assert all(" 0 findings" in line for line in lines), done.stdout
