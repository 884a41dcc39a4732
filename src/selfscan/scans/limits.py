"""What readers take on: no header decides how much memory is asked for, nor how long it takes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from selfscan.errors import ScanError

MAX_VOXELS = 2**31  # 1,290 a side; a CT of the whole body, 512 x 512 x 2,000, is a quarter of it
BYTES_A_VOXEL = 16  # that reading and preparing a scan takes at its most
# RFC 1951: a deflate block of two bits for 258 bytes, so no gzip stream grows by more than this.
# No transfer syntax of DICOM packs a series of real slices further.
DEFLATE_RATIO = 1032
MAX_DATA_FILES = 2**16  # that the header of one volume may name
# Beyond these a number in a header is no length in mm, and algebra on it may never end.
LEAST, MOST = 1e-30, 1e12
SECONDS, VOXELS_A_SECOND = 120, 1_000_000  # that another program has for a series


def require_voxels(path: Path, shape: Sequence[int]) -> None:
    """Refuse a volume larger than any scan, or than this machine can hold, before it is read.

    Raises:
        ScanError: It is.
    """
    voxels = int(np.prod([int(length) for length in shape], dtype=object))
    shown = f"{voxels:,} voxels, shape {tuple(shape)}"
    if voxels > MAX_VOXELS or min(shape) < 0:
        raise ScanError(
            path,
            found=shown,
            expected=f"at most {MAX_VOXELS:,}",
            remedy="its header is wrong, or it is no scan; crop or downsample what is that large",
        )
    if voxels * BYTES_A_VOXEL > (memory := _memory()):
        raise ScanError(
            path,
            found=f"{shown}, which take up to {voxels * BYTES_A_VOXEL / 2**30:.1f} GiB to prepare",
            expected=f"what fits in the {memory / 2**30:.1f} GiB of memory here",
            remedy="use a machine with more memory; crop or downsample it where its size is true",
        )


def require_shapes(index: Path, shapes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The shapes of the scans of an index, (scans, 3), of which none is larger than any scan.

    Raises:
        ScanError: One is, or has no voxels.
    """
    wrong = (shapes < 1).any(axis=1) | (shapes.astype(np.float64).prod(axis=1) > MAX_VOXELS)
    if wrong.any():
        at = int(np.argmax(wrong))
        raise ScanError(
            index,
            found=f"the shape {tuple(shapes[at].tolist())} in row {at}",
            expected=f"1 to {MAX_VOXELS:,} voxels",
            remedy="the index is damaged; run `selfscan prepare --resume`, or copy it again",
        )
    return shapes


def require_room(path: Path, *, needed: int, held: int, compressed: bool) -> None:
    """Refuse a header that claims more bytes than the file can hold, before memory is taken.

    Args:
        path: The file, for the message.
        needed: Bytes of voxels that the header claims.
        held: Bytes of the file, or files, that hold them.
        compressed: Whether they are deflated, and may grow.
    """
    most = held * DEFLATE_RATIO if compressed else held
    if needed > most:
        raise ScanError(
            path,
            found=f"{held:,} bytes that hold at most {most:,} bytes of voxels",
            expected=f"the {needed:,} bytes its header claims",
            remedy="the file is truncated or its header is wrong; copy or export it again",
        )


def refuse_for_memory(path: Path, error: MemoryError) -> NoReturn:
    """What a volume ends in that passed all limits and still does not fit."""
    raise ScanError(
        path,
        found="a volume for which memory ran out",
        expected="one that fits beside what else runs here",
        remedy="give fewer workers, or use a machine with more memory",
    ) from error


def _memory() -> int:
    """Bytes that this process may have: of the machine, its control group or its own limit."""
    known = [MAX_VOXELS * BYTES_A_VOXEL]
    if hasattr(os, "sysconf"):
        import resource

        known.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
        known += [m for m in resource.getrlimit(resource.RLIMIT_AS) if m != resource.RLIM_INFINITY]
    group = Path("/sys/fs/cgroup/memory.max")
    if group.is_file() and (said := group.read_text().strip()).isdigit():
        known.append(int(said))
    return min(known)
