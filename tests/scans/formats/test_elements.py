"""DICOM lengths, against files whose elements claim more than there is."""

from __future__ import annotations

import resource
import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from selfscan.scans.formats.elements import lengths_fit
from selfscan.scans.formats.slices import read_slice_header

EXPLICIT, IMPLICIT, BIG, DEFLATED = (f"1.2.840.10008.1.2{end}" for end in (".1", "", ".2", ".1.99"))
SEQUENCE, PIXELS = (0x0008, 0x1140), (0x7FE0, 0x0010)
ITEM, ITEM_END, SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)
NO_LENGTH = 0xFFFFFFFF


def explicit(tag, kind: bytes, value: bytes, length: int | None = None, order: str = "<") -> bytes:
    length = len(value) if length is None else length
    long = kind in (b"OB", b"OW", b"SQ", b"UN", b"UT")
    form = order + ("HH2s2xI" if long else "HH2sH")
    return struct.pack(form, *tag, kind, length) + value


def implicit(tag, value: bytes, length: int | None = None) -> bytes:
    return struct.pack("<HHI", *tag, len(value) if length is None else length) + value


FRAGMENTS = explicit(
    PIXELS,
    b"OB",
    implicit(ITEM, b"") + implicit(ITEM, b"12") + implicit(SEQUENCE_END, b""),
    NO_LENGTH,
)
ENDLESS_ITEM = implicit(ITEM, b"", NO_LENGTH)


def file_of(folder: Path, syntax: str, *elements: bytes) -> Path:
    uid = syntax.encode() + b"\0" * (len(syntax) % 2)
    meta = explicit((2, 0x10), b"UI", uid)
    content = bytes(128) + b"DICM" + explicit((2, 0), b"UL", struct.pack("<I", len(meta))) + meta
    (folder / "a.dcm").write_bytes(content + b"".join(elements))
    return folder / "a.dcm"


def test_what_fits_fits(tmp_path: Path) -> None:
    name = explicit((0x10, 0x10), b"PN", b"A^B ")
    inner = explicit((8, 0x1150), b"UI", b"1.2.")
    items = implicit(ITEM, inner) + implicit(ITEM, inner + implicit(ITEM_END, b""), NO_LENGTH)
    ended = items + implicit(SEQUENCE_END, b"")
    pixels = explicit(PIXELS, b"OW", bytes(8))
    sequence = explicit(SEQUENCE, b"SQ", items)
    for elements in (
        (name, pixels),
        (sequence, name, pixels),
        (explicit(SEQUENCE, b"SQ", ended, NO_LENGTH), name, pixels),
        (FRAGMENTS, name),
        (pixels, b"\0" * 7),
        (pixels, b"\0" * 64),
        (explicit((9, 0x10), b"UN", implicit(ITEM, implicit((8, 0x1150), b"1.2."))), pixels),
    ):
        assert lengths_fit(file_of(tmp_path, EXPLICIT, *elements))
    nested = implicit(SEQUENCE, implicit(ITEM, implicit((8, 0x1150), b"1.2.")))
    assert lengths_fit(file_of(tmp_path, IMPLICIT, nested, implicit((0x10, 0x10), b"A^B ")))
    assert lengths_fit(file_of(tmp_path, BIG, explicit((0x10, 0x10), b"PN", b"A^B ", order=">")))


@pytest.mark.parametrize(
    ("syntax", "element"),
    [
        (EXPLICIT, explicit((0x10, 0x10), b"PN", b"A^B ", 0xFFFE)),
        (EXPLICIT, explicit((0x10, 0x10), b"UT", b"A^B ", 0xFFFFFFFE)),
        (EXPLICIT, explicit((0x10, 0x10), b"UN", b"A^B ", 0x7FFFFFFF)),
        (EXPLICIT, explicit((0x10, 0x10), b"??", b"", 1) + b"A^B "),  # an unknown kind
        (EXPLICIT, explicit(PIXELS, b"OW", bytes(8), 0x70000000)),
        (EXPLICIT, explicit(SEQUENCE, b"SQ", implicit(ITEM, b"", 0x70000000))),
        (EXPLICIT, explicit(SEQUENCE, b"SQ", implicit(ITEM, implicit((8, 8), b"", 12)))),
        (EXPLICIT, explicit(SEQUENCE, b"SQ", implicit(ITEM, b""), NO_LENGTH)),  # never ends
        (EXPLICIT, explicit(SEQUENCE, b"SQ", implicit((8, 8), b"") * 2)),  # no item
        (EXPLICIT, (explicit(SEQUENCE, b"SQ", b"", NO_LENGTH) + ENDLESS_ITEM) * 99),
        (IMPLICIT, implicit((0x10, 0x10), b"A^B ", 0x70000000)),
        (IMPLICIT, implicit(SEQUENCE, implicit(ITEM, implicit((8, 8), b"", 0x70000000)))),
        (BIG, explicit((0x10, 0x10), b"OB", b"A^B ", 4)),  # 67,108,864 the other way round
        (DEFLATED, explicit((0x10, 0x10), b"PN", b"A^B ")),
        (EXPLICIT, b"\x10\0\x10\0PN"),  # cut
        (EXPLICIT, FRAGMENTS[:-8]),
        (EXPLICIT, FRAGMENTS[:-8] + implicit(ITEM, b"", 0x70000000)),
        (EXPLICIT, FRAGMENTS + implicit((0x10, 0x10), b"", 0x70000000)),
        (EXPLICIT, explicit(PIXELS, b"OW", bytes(8)) + b"\xaa" * 12),  # behind the pixels
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_without_memory(
    syntax: str, element: bytes, tmp_path: Path
) -> None:
    path = file_of(tmp_path, syntax, element)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert not lengths_fit(path)
    assert read_slice_header(path) is None
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


def test_what_a_library_wrote_fits_until_it_is_cut(tmp_path: Path) -> None:
    image = SimpleITK.GetImageFromArray(np.zeros((1, 8, 8), np.int16))
    SimpleITK.WriteImage(image, str(tmp_path / "a.dcm"))
    content = (tmp_path / "a.dcm").read_bytes()
    assert lengths_fit(tmp_path / "a.dcm")
    (tmp_path / "a.dcm").write_bytes(content[:-1])
    assert not lengths_fit(tmp_path / "a.dcm")
