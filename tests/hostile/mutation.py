"""Bytes changed as damage and malice change them: everywhere a little, in headers more."""

from __future__ import annotations

import bz2
import gzip
import random
import re
import zlib

_NUMBERS = (0, 1, -1, 2, 127, 128, 255, 32767, -32768, 65535, 2**31 - 1, -(2**31), 2**32 - 1)
_TEXT_NUMBERS = (
    *(b"0", b"-1", b"1", b"65535", b"2147483647", b"4294967296", b"-9223372036854775808"),
    *(b"99999999999999999999", b"1e308", b"1e-320", b"nan", b"-inf", b"%s", b"%999999999d", b""),
    *(b"../../../../etc/passwd", b"/dev/zero", b"[[[[", b"null", b"true", b"\0", b"\xff\xfe"),
)
_HEADER = 1024
_GZIP, _BZIP2 = b"\x1f\x8b", b"BZh"


def mutated(content: bytes, draw: random.Random) -> bytes:
    """One to eight changes; of a compressed file, as often of what is in it as of itself."""
    if draw.random() < 0.5:
        start, inner = unpacked(content)
        if content[start : start + 2] == _GZIP:
            return content[:start] + gzip.compress(_changed(inner, draw), 1, mtime=0)
        if content[start : start + 3] == _BZIP2:
            return content[:start] + bz2.compress(_changed(inner, draw))
    return _changed(content, draw)


def unpacked(content: bytes) -> tuple[int, bytes]:
    """Where the compressed part of a file begins, and what it holds; of others, all of it."""
    # After the header of an NRRD file, or from the start.
    start = 0 if content[:2] == _GZIP else content.find(b"\n\n") + 2
    if content[start : start + 2] == _GZIP:
        return start, zlib.decompressobj(47).decompress(content[start:])
    if content[start : start + 3] == _BZIP2:
        return start, bz2.decompress(content[start:])
    return 0, content


def _changed(content: bytes, draw: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 2, 2, 3, 5, 8))):
        if not changed:
            break
        draw.choice(_CHANGES)(changed, draw)
    return bytes(changed)


def _place(changed: bytearray, draw: random.Random) -> int:
    most = len(changed) if draw.random() < 0.3 else min(len(changed), _HEADER)
    return draw.randrange(most)


def _flip(changed: bytearray, draw: random.Random) -> None:
    changed[_place(changed, draw)] ^= 1 << draw.randrange(8)


def _byte(changed: bytearray, draw: random.Random) -> None:
    changed[_place(changed, draw)] = draw.choice((0, 1, 9, 10, 32, 127, 128, 254, 255))


def _number(changed: bytearray, draw: random.Random) -> None:
    size = draw.choice((2, 4, 8))
    value = draw.choice(_NUMBERS) % (1 << 8 * size)
    place = _place(changed, draw)
    changed[place : place + size] = value.to_bytes(size, draw.choice(("little", "big")))


def _text_number(changed: bytearray, draw: random.Random) -> None:
    found = list(re.finditer(rb"-?\d+(\.\d+)?", bytes(changed[:_HEADER])))
    if found:
        place = draw.choice(found)
        changed[place.start() : place.end()] = draw.choice(_TEXT_NUMBERS)


def _word(changed: bytearray, draw: random.Random) -> None:
    found = list(re.finditer(rb"\w+", bytes(changed[:_HEADER])))
    if len(found) > 1:
        one, other = draw.sample(found, 2)
        changed[one.start() : one.end()] = draw.choice((other.group(), *_TEXT_NUMBERS))


def _cut(changed: bytearray, draw: random.Random) -> None:
    del changed[_place(changed, draw) :]


def _remove(changed: bytearray, draw: random.Random) -> None:
    place = _place(changed, draw)
    del changed[place : place + draw.choice((1, 2, 4, 16, 64))]


def _insert(changed: bytearray, draw: random.Random) -> None:
    place = _place(changed, draw)
    changed[place:place] = draw.randbytes(draw.choice((1, 2, 4, 16, 64)))


def _repeat(changed: bytearray, draw: random.Random) -> None:
    place = _place(changed, draw)
    part = changed[place : place + draw.choice((1, 4, 16, 64, 256))]
    changed[place:place] = part * draw.choice((1, 2, 8))


def _noise(changed: bytearray, draw: random.Random) -> None:
    place = _place(changed, draw)
    size = draw.choice((4, 16, 64))
    changed[place : place + size] = draw.randbytes(size)


_CHANGES = (
    *(_flip, _byte, _number, _number, _text_number, _text_number, _word),
    *(_cut, _remove, _insert, _repeat, _noise),
)
