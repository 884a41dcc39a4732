"""One volume a file: compressed in small blocks, so that a crop costs only the blocks it touches.

Blosc2 (LZ4 after a bit shuffle) in chunks of 64 and blocks of 32 voxels along each axis.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from operator import add, lt, sub
from pathlib import Path
from typing import Any

import blosc2
import numpy as np
import numpy.typing as npt

from selfscan.files import written_atomically
from selfscan.scans.containment import require_own
from selfscan.scans.frames import Frame, chunks_and_blocks, damaged, read_frame
from selfscan.scans.record import Voxel

_OPEN_FILES = 64


@dataclass(frozen=True)
class Written:
    """What a file was when it was written, to know it again by.

    Attributes:
        length: Bytes.
        digest: SHA-256 of them.
    """

    length: int
    digest: str


def write_volume(path: Path, volume: npt.NDArray[Any]) -> Written:
    """Write an array (..., X, Y, Z), whole or not at all; equal arrays give equal bytes."""
    chunks, blocks = chunks_and_blocks(volume.shape)
    array = blosc2.asarray(
        np.ascontiguousarray(volume),
        contiguous=True,
        chunks=chunks,
        blocks=blocks,
        cparams=blosc2.CParams(
            codec=blosc2.Codec.LZ4, filters=[blosc2.Filter.BITSHUFFLE], nthreads=1
        ),
    )
    # The bytes of the file, written by Python: Blosc2 does not say that a disk is full.
    frame: bytes = array.to_cframe()
    with written_atomically(path) as temporary:
        temporary.write_bytes(frame)
    return Written(len(frame), hashlib.sha256(frame).hexdigest())


@dataclass(frozen=True)
class _Opened:
    """An array in an open file, of which no chunk is decoded before its header was looked at."""

    frame: Frame
    array: Any

    @property
    def shape(self) -> tuple[int, ...]:
        return self.frame.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        kind: np.dtype[Any] = self.array.dtype
        return kind

    def __getitem__(self, inside: Sequence[slice]) -> npt.NDArray[Any]:
        self.frame.require_own_codecs(inside)
        return np.asarray(self.array[inside])


class VolumeFiles:
    """Reads boxes of voxels and keeps the files used last open; memory does not grow with use.

    Files are read, not mapped: mapped pages would count as memory of each worker, and a file cut
    short would end the process instead of raising.
    """

    def __init__(self) -> None:
        self._arrays: OrderedDict[Path, _Opened] = OrderedDict()

    def read(
        self,
        path: Path,
        start: Voxel | None,
        size: Voxel | None,
        outside: Any,
        *,
        length: int | None = None,
    ) -> npt.NDArray[Any]:
        """A box of the array (..., X, Y, Z) in a file, shape (..., *size).

        Args:
            path: The file.
            start: First voxel of the box, which may stick out; None for the array's first.
            size: Voxels along each axis; None goes to the array's end.
            outside: What fills the part that sticks out; broadcasts against the box.
            length: Bytes that the file must have; None where it is not known.

        Raises:
            ScanError: The file is missing or damaged.
            SelfscanError: It is none of the store's own.
        """
        try:
            return cut_box(self._open(path, length), start, size, outside)
        except (RuntimeError, OSError) as error:
            raise damaged(path, "a damaged file" if path.exists() else "no file") from error

    def _open(self, path: Path, length: int | None) -> _Opened:
        if path not in self._arrays:
            require_own(path)
            if length is not None and path.stat().st_size != length:
                raise damaged(path, f"{path.stat().st_size} bytes where there were {length}")
            if len(self._arrays) >= _OPEN_FILES:
                self._arrays.popitem(last=False)
            frame, single = read_frame(path), blosc2.DParams(nthreads=1)
            array = blosc2.open(str(path), mode="r", dparams=single, deserialize="safe")
            if not isinstance(array, blosc2.NDArray) or array.shape != frame.shape:
                raise damaged(path, f"a {type(array).__name__} of Blosc2, which is no volume")
            self._arrays[path] = _Opened(frame, array)
        self._arrays.move_to_end(path)
        return self._arrays[path]


def cut_box(array: Any, start: Voxel | None, size: Voxel | None, outside: Any) -> npt.NDArray[Any]:
    """A box of an array in memory or in an open file; the arguments are those of `read`."""
    *leading, x, y, z = array.shape
    first = (0, 0, 0) if start is None else start
    past = (x, y, z) if size is None else tuple(map(add, first, size))
    inner_first = [min(max(a, 0), n) for a, n in zip(first, (x, y, z), strict=True)]
    inner_past = [min(max(b, 0), n) for b, n in zip(past, (x, y, z), strict=True)]
    inside = (*map(slice, (0,) * len(leading), leading), *map(slice, inner_first, inner_past))
    if (*inner_first, *inner_past) == (*first, *past):
        return np.asarray(array[inside])
    box = np.empty((*leading, *map(sub, past, first)), dtype=array.dtype)
    box[...] = outside
    if all(map(lt, inner_first, inner_past)):
        spans = zip(inner_first, inner_past, first, strict=True)
        i, j, k = (slice(a - origin, b - origin) for a, b, origin in spans)
        box[..., i, j, k] = array[inside]
    return box
