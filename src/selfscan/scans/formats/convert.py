"""One call of dcm2niix on the files of one series, in a folder of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import dcm2niix
import numpy as np

from selfscan.errors import ScanError
from selfscan.scans.limits import BYTES_A_VOXEL, SECONDS, VOXELS_A_SECOND

if sys.platform == "linux":
    import resource

_OWN_BYTES = 1 << 30  # that dcm2niix takes whatever it reads
_SYNTAX = re.compile(r"transfer syntax '([0-9.]+)'", re.IGNORECASE)


def convert_series(
    name: Path, files: Sequence[Path], folder: Path, shape: Sequence[int]
) -> list[Path]:
    """Convert slices to NIfTI volumes in `folder`; a tilted stack comes out straightened.

    The files are linked under numbers and the volumes named by letters, so that no field and no
    file name of a patient is written, and dcm2niix sees this series alone.

    Args:
        name: What messages call the series.
        files: DICOM files of one series.
        folder: An empty folder to work in.
        shape: Voxels that the headers claim, which bound the time and memory that it gets.

    Raises:
        ScanError: dcm2niix converts nothing, takes too long, or finds uneven gaps.
    """
    slices, volumes = folder / "slices", folder / "volumes"
    slices.mkdir()
    volumes.mkdir()
    for number, file in enumerate(files):
        _link(file.resolve(), slices / f"{number:06d}.dcm")
    # Ignore the user's defaults, write no side-car, keep one series one volume, do not compress,
    # neither crop nor rotate: the third axis stays the slices'.
    options = ["-g", "i", "-f", "v", "-b", "n", "-m", "y", "-z", "n", "-x", "i", "-o", str(volumes)]
    code, said = _run(name, [dcm2niix.bin, *options, str(slices)], int(np.prod(shape)))
    found = [path for path in sorted(volumes.glob("*.nii")) if "_Eq" not in path.stem]
    if code or not found:
        syntax = _SYNTAX.search(said)
        raise ScanError(
            name,
            found=f"the transfer syntax {syntax[1]}" if syntax else "slices that are damaged",
            expected="DICOM that dcm2niix can decode",
            remedy=f"decompress or export it again (dcm2niix ended with {code})",
        )
    if "Interslice distance varies" in said:
        raise ScanError(
            name,
            found="uneven gaps between frames",
            expected="even gaps",
            remedy="export the whole series, or resample it to even gaps",
        )
    return [path for path in found if "_Tilt" in path.stem] or found


def _run(name: Path, order: Sequence[str], voxels: int) -> tuple[int, str]:
    """The exit code of a program and what it said, within time and memory for so many voxels."""
    seconds = SECONDS + voxels / VOXELS_A_SECOND
    program = subprocess.Popen(
        order, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    try:
        if sys.platform == "linux":
            memory = _OWN_BYTES + voxels * BYTES_A_VOXEL
            resource.prlimit(program.pid, resource.RLIMIT_AS, (memory, memory))
        said, _ = program.communicate(timeout=seconds)
    except subprocess.TimeoutExpired as error:
        raise ScanError(
            name,
            found=f"slices on which dcm2niix worked for more than {seconds:.0f} s",
            expected="a series that it converts in seconds",
            remedy="the series is damaged; export it again",
        ) from error
    finally:
        program.kill()
        program.wait()
    return program.returncode, said


def _link(file: Path, link: Path) -> None:
    try:
        link.symlink_to(file)
    except OSError:  # a file system, or a user on Windows, without links
        shutil.copyfile(file, link)
