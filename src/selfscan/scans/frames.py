"""What the file of a volume claims, judged before Blosc2 acts on any of it: it may be a stranger's.

A frame of Blosc2 may hold more than an array: an expression to evaluate, an address to read from,
the name of a plugin, which Blosc2 looks for by running Python in the current folder. Stored volumes
have none of these, so a frame that has one is refused. Formats: contiguous frame, b2nd metalayer
and chunk, in the documentation of C-Blosc2.
"""

from __future__ import annotations

import operator
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import blosc2
import msgpack
import numpy as np
import numpy.typing as npt

from selfscan.errors import ScanError
from selfscan.scans.limits import require_voxels

CHUNK = 64
BLOCK = 32
_HEADER_BYTES = 4096
_PLUGINS = 32  # codecs, filters and tuners from this number on are looked for outside of Blosc2
_OWN_CODECS = 6  # in the first of the three bits of a chunk's header; the next is a plugin's
_EXTENDED = 0b101  # flags of a chunk that has all of this header:
_CHUNK_HEADER = np.dtype(
    [
        *(("version", "u1"), ("codec_version", "u1"), ("flags", "u1"), ("item_bytes", "u1")),
        *(("bytes", "<i4"), ("block_bytes", "<i4"), ("held", "<i4"), ("filters", "u1", 6)),
        *(("plugin", "u1"), ("codec_meta", "u1"), ("filters_meta", "u1", 6), ("more", "u1", 2)),
    ]
)
_NUMBERS = re.compile(r"[<|](b1|[iu][1248]|f[48])")


@dataclass(frozen=True)
class Frame:
    """Where the voxels of a file are, and how they would be decoded.

    Attributes:
        path: The file.
        shape: Voxels along each axis, channels first where there are any.
        chunks: Voxels of a chunk along each axis.
        chunk_bytes: Bytes of a chunk, decompressed.
        places: Where each chunk begins in the file; negative where it repeats one value.
    """

    path: Path
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    chunk_bytes: int
    places: npt.NDArray[np.int64]

    def require_own_codecs(self, inside: Sequence[slice]) -> None:
        """Refuse to decode chunks for which Blosc2 would look for a plugin.

        Args:
            inside: First voxel and one past the last along each axis, of what is to be read.

        Raises:
            ScanError: One of the chunks there needs one.
        """
        touched = [
            np.arange(part.start // length, -(-part.stop // length))
            for part, length in zip(inside, self.chunks, strict=True)
        ]
        numbers = np.ravel_multi_index(np.ix_(*touched), _counts(self.shape, self.chunks))
        places = self.places[numbers.ravel()]
        file = os.open(self.path, os.O_RDONLY)
        try:
            heads = [os.pread(file, _CHUNK_HEADER.itemsize, at) for at in places[places >= 0]]
        finally:
            os.close(file)
        _require_own_codecs(self.path, heads, self.chunk_bytes)


def read_frame(path: Path) -> Frame:
    """Read how a stored volume lies in its file.

    Raises:
        ScanError: It is no array of numbers as `write_volume` lays them out, or is larger than
            this machine can hold.
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(_HEADER_BYTES)
        try:
            kind, (shape, chunks, blocks), sizes = _claims(path, start)
            chunk_bytes, header_bytes, held = sizes
        except (ValueError, TypeError, AttributeError, LookupError, msgpack.UnpackException):
            raise damaged(path, "no header of a Blosc2 array") from None
        if not _NUMBERS.fullmatch(kind) or not 3 <= len(shape) <= 4 or min(shape) < 1:
            raise damaged(path, f"an array of {kind[:40]!r}, shape {shape[:8]}")
        require_voxels(path, shape)
        laid_out = (chunks, blocks) == chunks_and_blocks(shape)
        voxels = prod(_counts(chunks, blocks)) * prod(blocks) if laid_out else 0
        if chunk_bytes != voxels * int(kind[2:]):
            raise damaged(path, f"chunks of {chunks[:8]} voxels, {chunk_bytes:,} bytes")
        file.seek(header_bytes + held)
        index = file.read()
    count = prod(_counts(shape, chunks))
    _require_own_codecs(path, [index[: _CHUNK_HEADER.itemsize]], 8 * count)
    try:
        places = np.frombuffer(blosc2.decompress2(index), "<i8")
    except (RuntimeError, ValueError):
        places = np.empty(0, np.int64)
    if len(places) != count:
        raise damaged(path, f"the places of {len(places)} of its {count} chunks")
    return Frame(path, shape, chunks, chunk_bytes, np.where(places < 0, -1, places + header_bytes))


def damaged(path: Path, found: str) -> ScanError:
    """The error for a file in a store that is not what `prepare` wrote, by accident or design."""
    return ScanError(
        path,
        found=found,
        expected="the file that prepare wrote",
        remedy="run `selfscan prepare` again with --resume, which makes it anew; if it happens "
        "again, look at the disk; if the store is someone else's, do without it",
    )


def chunks_and_blocks(shape: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Voxels along each axis of what is read, and of what is decoded, at once."""
    leading = (1,) * (len(shape) - 3)
    chunks = leading + tuple(min(CHUNK, length) for length in shape[-3:])
    return chunks, leading + tuple(min(BLOCK, length) for length in chunks[-3:])


def _claims(path: Path, start: bytes) -> tuple[str, list[tuple[int, ...]], tuple[int, int, int]]:
    """Kind of number; shape, chunk and block; bytes of a chunk, the header and all chunks."""
    unpacker = msgpack.Unpacker(raw=True)
    unpacker.feed(start)
    fields: list[Any] = unpacker.unpack()
    magic, header_bytes, _, (_, frame_type, codec, tuner), _, held, _, _, chunk_bytes = fields[:9]
    _, _, has_more, pipeline, (_, names, layers) = fields[9:]
    if magic != b"b2frame\0" or frame_type or has_more or list(names) != [b"b2nd"]:
        shown = ", ".join(name.decode(errors="replace")[:40] for name in names)
        raise damaged(path, f"an object of Blosc2 that is more than an array ({shown})")
    if codec & 15 >= _OWN_CODECS or max(tuner, *pipeline.data) >= _PLUGINS:
        raise damaged(path, "a frame that needs a plugin of Blosc2")
    _, _, *shapes, not_numpy, kind = msgpack.unpackb(layers[0], raw=True)
    sizes = (operator.index(chunk_bytes), operator.index(header_bytes), operator.index(held))
    if min(sizes) < 0 or not_numpy:
        raise ValueError
    return kind.decode(), [tuple(map(operator.index, shape)) for shape in shapes], sizes


def _require_own_codecs(path: Path, heads: Sequence[bytes], size: int) -> None:
    """Refuse chunks of other than `size` bytes, and those that Blosc2 alone cannot decode."""
    joined = b"".join(heads)
    if len(joined) < len(heads) * _CHUNK_HEADER.itemsize:
        raise damaged(path, "a chunk outside of the file")
    header = np.frombuffer(joined, _CHUNK_HEADER)
    if (header["flags"] & _EXTENDED != _EXTENDED).any() or (header["bytes"] != size).any():
        raise damaged(path, f"a chunk of other than {size:,} bytes")
    plugins = np.maximum(header["plugin"], header["filters"].max(axis=1, initial=0))
    if (header["flags"] >> 5 >= _OWN_CODECS).any() or (plugins >= _PLUGINS).any():
        raise damaged(path, "a chunk that needs a plugin of Blosc2")


def _counts(shape: Sequence[int], chunks: Sequence[int]) -> tuple[int, ...]:
    """Chunks, or other parts, along each axis."""
    return tuple(-(-length // chunk) for length, chunk in zip(shape, chunks, strict=True))
