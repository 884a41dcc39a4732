"""One call of dcm2niix on the files of one series, in a folder of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import dcm2niix

from selfscan.errors import ScanError

_SYNTAX = re.compile(r"transfer syntax '([^']+)'", re.IGNORECASE)


def convert_series(name: Path, files: Sequence[Path], folder: Path) -> list[Path]:
    """Convert slices to NIfTI volumes in `folder`; a tilted stack comes out straightened.

    The files are linked under numbers and the volumes named by letters, so that no field and no
    file name of a patient is written, and dcm2niix sees this series alone.

    Args:
        name: What messages call the series.
        files: DICOM files of one series.
        folder: An empty folder to work in.

    Raises:
        ScanError: dcm2niix converts nothing, or finds uneven gaps.
    """
    slices, volumes = folder / "slices", folder / "volumes"
    slices.mkdir()
    volumes.mkdir()
    for number, file in enumerate(files):
        _link(file.resolve(), slices / f"{number:06d}.dcm")
    # Ignore the user's defaults, write no side-car, keep one series one volume, do not compress,
    # neither crop nor rotate: the third axis stays the slices'.
    options = ["-g", "i", "-f", "v", "-b", "n", "-m", "y", "-z", "n", "-x", "i", "-o", str(volumes)]
    done = subprocess.run(
        [dcm2niix.bin, *options, str(slices)],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    said = done.stdout + done.stderr
    found = [path for path in sorted(volumes.glob("*.nii")) if "_Eq" not in path.stem]
    if done.returncode or not found:
        syntax = _SYNTAX.search(said)
        raise ScanError(
            name,
            found=f"the transfer syntax {syntax[1]}" if syntax else "slices that are damaged",
            expected="DICOM that dcm2niix can decode",
            remedy=f"decompress or export it again (dcm2niix ended with {done.returncode})",
        )
    if "Interslice distance varies" in said:
        raise ScanError(
            name,
            found="uneven gaps between frames",
            expected="even gaps",
            remedy="export the whole series, or resample it to even gaps",
        )
    return [path for path in found if "_Tilt" in path.stem] or found


def _link(file: Path, link: Path) -> None:
    try:
        link.symlink_to(file)
    except OSError:  # a file system, or a user on Windows, without links
        shutil.copyfile(file, link)
