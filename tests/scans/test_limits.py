from __future__ import annotations

from pathlib import Path

import pytest

from selfscan.errors import ScanError
from selfscan.scans import limits
from selfscan.scans.limits import MAX_VOXELS, refuse_for_memory, require_room, require_voxels

FILE = Path("scan.nii.gz")


def test_no_header_asks_for_more_voxels_than_any_scan_has() -> None:
    with pytest.raises(ScanError, match=r"scan.nii.gz: found 27,000,000,000,000 voxels"):
        require_voxels(FILE, (30_000, 30_000, 30_000))
    with pytest.raises(ScanError, match=f"at most {MAX_VOXELS:,}"):
        require_voxels(FILE, (-1, 4, 4))
    require_voxels(FILE, (64, 64, 32))


def test_no_more_than_this_machine_can_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_memory", lambda: 2**20)
    with pytest.raises(ScanError, match=r"up to 0.0 GiB to prepare; expected what fits"):
        require_voxels(FILE, (64, 64, 32))


def test_a_file_holds_what_its_header_claims() -> None:
    require_room(FILE, needed=1032, held=1, compressed=True)
    with pytest.raises(ScanError, match="found 1 bytes that hold at most 1,032 bytes of voxels"):
        require_room(FILE, needed=1033, held=1, compressed=True)
    with pytest.raises(ScanError, match="expected the 2 bytes its header claims"):
        require_room(FILE, needed=2, held=1, compressed=False)


def test_memory_that_runs_out_names_the_file() -> None:
    with pytest.raises(ScanError, match=r"scan.nii.gz: found a volume for which memory ran out"):
        refuse_for_memory(FILE, MemoryError())
