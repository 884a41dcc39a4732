"""The elements of a DICOM file, their lengths alone: whether each fits in what it is part of.

Libraries take as much memory as a length claims before they read, up to 4 GiB for an element.
Encoding: DICOM PS3.5, section 7, and PS3.10, section 7.1.
"""

from __future__ import annotations

import os
from pathlib import Path
from struct import Struct
from typing import BinaryIO

_UNDEFINED = 0xFFFFFFFF
_PIXELS = (0x7FE0, 0x0010)
_ITEM, _ITEM_END, _SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)
_SYNTAX = (0x0002, 0x0010)
_IMPLICIT, _BIG_ENDIAN, _DEFLATED = (f"1.2.840.10008.1.2{end}" for end in ("", ".2", ".1.99"))
_LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())  # with lengths of 32 bits
_SHORT = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_DEPTH = 16  # of sequences in sequences


class _LengthError(Exception):
    """A length leads out of what holds it."""


def lengths_fit(path: Path) -> bool:
    """Whether all elements end within the file, and the items of sequences within these.

    Not so are truncated files, and those whose elements are deflated as a whole: what these claim
    is not known before they take the memory.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        try:
            _walk_file(file, size)
        except _LengthError:
            return False
    return True


def _walk_file(file: BinaryIO, size: int) -> None:
    syntax = ""
    if file.read(132)[128:] == b"DICM":
        meta = _Encoding(explicit=True, big=False)
        while (start := file.read(2)) == b"\2\0":
            file.seek(-2, os.SEEK_CUR)
            tag, _, length = meta.element(file)
            _require(file, length, size)
            value = file.read(length)
            if tag == _SYNTAX:
                syntax = value.decode("ascii", "replace").strip(" \0")
        file.seek(-len(start), os.SEEK_CUR)
        if syntax == _DEFLATED:
            raise _LengthError
        encoding = _Encoding(explicit=syntax != _IMPLICIT, big=syntax == _BIG_ENDIAN)
    else:
        file.seek(0)
        start = file.read(6)
        file.seek(0)
        encoding = _Encoding(explicit=start[4:] in _SHORT | _LONG, big=False)
    _walk(file, encoding, size, depth=0, until=None)


class _Encoding:
    """How tags and lengths are written."""

    def __init__(self, *, explicit: bool, big: bool) -> None:
        order = ">" if big else "<"
        self.explicit, self.big = explicit, big
        self._tag, self._short, self._long = (Struct(order + form) for form in ("HH", "H", "I"))

    def element(self, file: BinaryIO) -> tuple[tuple[int, int], bytes, int]:
        """Tag, value representation (empty where it is not written) and length."""
        head = file.read(8)
        if len(head) < 8:
            raise _LengthError
        group, number = self._tag.unpack_from(head)
        kind = head[4:6]
        if not self.explicit or group == 0xFFFE or kind not in _SHORT | _LONG:
            return (group, number), b"", self._long.unpack_from(head, 4)[0]
        if kind in _SHORT:
            return (group, number), kind, self._short.unpack_from(head, 6)[0]
        rest = file.read(4)
        if len(rest) < 4:
            raise _LengthError
        return (group, number), kind, self._long.unpack(rest)[0]


def _walk(
    file: BinaryIO, encoding: _Encoding, end: int, *, depth: int, until: tuple[int, int] | None
) -> None:
    """Pass over elements to a place in the file, or to the tag that ends an item before it."""
    if depth > _DEPTH:
        raise _LengthError
    while file.tell() < end:
        tag, kind, length = encoding.element(file)
        if tag == until:
            return
        if tag == _PIXELS and length == _UNDEFINED:
            _pass_fragments(file, encoding, end)
        elif length == _UNDEFINED:
            # What has an unknown length is a sequence, and of an unknown kind it is implicit.
            inner = encoding if kind == b"SQ" or not encoding.explicit else _implicit(encoding)
            _walk_items(file, inner, end, depth=depth, until=_SEQUENCE_END)
        else:
            _require(file, length, end)
            past = file.tell() + length
            if kind == b"SQ" or (not kind and length >= 8 and _begins_item(file, encoding)):
                _walk_items(file, encoding, past, depth=depth, until=None)
            file.seek(past)
        if tag == _PIXELS and depth == 0 and end - file.tell() < 8:
            return  # a few bytes behind the last element, which no library takes for one
    if until is not None:
        raise _LengthError


def _walk_items(
    file: BinaryIO, encoding: _Encoding, end: int, *, depth: int, until: tuple[int, int] | None
) -> None:
    while file.tell() < end:
        tag, _, length = encoding.element(file)
        if tag == until:
            return
        if tag != _ITEM:
            raise _LengthError
        if length == _UNDEFINED:
            _walk(file, encoding, end, depth=depth + 1, until=_ITEM_END)
        else:
            _require(file, length, end)
            _walk(file, encoding, file.tell() + length, depth=depth + 1, until=None)
    if until is not None:
        raise _LengthError


def _pass_fragments(file: BinaryIO, encoding: _Encoding, end: int) -> None:
    """Pass over compressed pixels: items of bytes, to the tag that ends them."""
    while True:
        tag, _, length = encoding.element(file)
        if tag == _SEQUENCE_END:
            return
        if tag != _ITEM:
            raise _LengthError
        _require(file, length, end)
        file.seek(length, os.SEEK_CUR)


def _implicit(encoding: _Encoding) -> _Encoding:
    return _Encoding(explicit=False, big=encoding.big)


def _begins_item(file: BinaryIO, encoding: _Encoding) -> bool:
    place = file.tell()
    tag, _, _ = encoding.element(file)
    file.seek(place)
    return tag == _ITEM


def _require(file: BinaryIO, length: int, end: int) -> None:
    if length > end - file.tell():
        raise _LengthError
