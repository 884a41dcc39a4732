"""What the first bytes of a file say, before any reader trusts its name or its header."""

from __future__ import annotations

import stat
from pathlib import Path

from selfscan.errors import ScanError
from selfscan.scans.formats.suffixes import DICOM_SUFFIXES, suffix_of

_POINTERS = (b"version https://git-lfs", b"/annex/objects/", b"../.git/annex/")


def first_bytes(path: Path, count: int = 512) -> bytes:
    """The start of a file that is there and holds data.

    Raises:
        ScanError: The file is missing, cannot be opened, is empty, or stands in for data that a
            large-file store has not delivered.
    """
    if not path.exists():
        raise ScanError(
            path,
            found="no such file",
            expected="a scan",
            remedy="correct the path or restore the file",
        )
    if not path.is_file():
        raise ScanError(
            path,
            found=special_file(path),
            expected="a file",
            remedy="correct the path",
        )
    try:
        with path.open("rb") as file:
            start = file.read(count)
    except OSError as error:
        raise ScanError(
            path,
            found=f"a file that cannot be opened ({error.strerror})",
            expected="a readable file",
            remedy="check its permissions and the disk",
        ) from error
    if not start:
        raise ScanError(
            path,
            found="an empty file of 0 bytes",
            expected="a scan",
            remedy="copy or download it again",
        )
    if start.startswith(_POINTERS):
        raise ScanError(
            path,
            found="a text pointer of a large-file store",
            expected="the data it points to",
            remedy="fetch the data, for example with `git lfs pull`",
        )
    return start


def special_file(path: Path) -> str:
    """What a path leads to that is no file: to open a pipe, or to read a device, may never end."""
    kinds = {
        stat.S_ISDIR: "a folder",
        stat.S_ISFIFO: "a named pipe",
        stat.S_ISSOCK: "a socket",
    }
    mode = path.stat().st_mode
    return next((name for is_one, name in kinds.items() if is_one(mode)), "a device")


def is_gzip(start: bytes) -> bool:
    """Whether a file that starts so is compressed by gzip, whatever its name says."""
    return start[:2] == b"\x1f\x8b"


def is_dicom(path: Path) -> bool:
    """Whether a file is named as DICOM or has its mark, four bytes after a preamble of 128."""
    if not path.is_file():  # a folder, or a pipe that nobody may ever write to
        return False
    if suffix_of(path) in DICOM_SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def passed_over(path: Path) -> bool:
    """Whether a file is hidden, or a DICOMDIR: a table of contents, no object with pixels.

    What it lists is found by content. The standard gives it this name (DICOM PS3.10, 8.6).
    """
    return path.name.startswith(".") or path.name.upper() == "DICOMDIR"
