"""Fixtures for the whole suite."""

from __future__ import annotations

import locale
import os
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]
_TEXT = locale.setlocale(locale.LC_CTYPE)


def pytest_runtest_setup() -> None:
    """Undo, before each test, that SimpleITK sets the C locale when it writes DICOM."""
    locale.setlocale(locale.LC_CTYPE, _TEXT)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Real scans, where SELFSCAN_DATA says; absent, the test is skipped."""
    folder = Path(os.environ.get("SELFSCAN_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real scans at {folder}; set SELFSCAN_DATA to a folder that holds them")
    return folder


@pytest.fixture(autouse=True)
def single_threaded() -> None:
    """Small tensors run fastest on one thread, and sums keep one order."""
    torch.set_num_threads(1)
