"""Everything that files hold, unpacked as far as it goes, and what secrets stand in it."""

from __future__ import annotations

import base64
import gzip
import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import blosc2
import numpy as np
import pyarrow.parquet as pq
from PIL import Image
from secrets_planted import DAYS, ROOT, day

_ADDRESS = re.compile(rb"data:[\w/+.-]+;base64,([A-Za-z0-9+/=]+)")
_DAYS = "|".join(
    f"{date[:4]}-?{date[4:6]}-?{date[6:]}" for date in (day(number) for number in range(DAYS))
)
HEADERS = re.compile(
    rb"ZQ[0-9A-F]{8}XV|zq[0-9a-f]{8}xv|%s\d+|0?31415\.7\d{5}|\b7391\d{5,10}\b|(?<![\d.])(?:%s)(?!\d)"
    % (re.escape(ROOT).encode(), _DAYS.encode())
)
# Of files and folders: these have a letter that is no hexadecimal digit.
NAMES = re.compile(rb"ZQ(?![0-9A-F]{8}XV)[0-9A-Z]{8}XV|zq(?![0-9a-f]{8}xv)[0-9a-z]{8}xv")


def held(path: Path) -> Iterator[tuple[str, bytes]]:
    """What a file holds: its name, its bytes, and what is packed in them, each with its place."""
    yield f"the name of {path.name}", str(path.name).encode()
    if path.suffix == ".b2nd":
        array = blosc2.open(str(path), mode="r")
        yield f"{path} voxels", np.ascontiguousarray(array[...]).tobytes()
        yield f"{path} metadata", repr(dict(array.schunk.meta)).encode()
        yield f"{path} metadata", repr(dict(array.schunk.vlmeta[:])).encode()
    yield from _unpacked(str(path), path.read_bytes())


def _unpacked(place: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    # Without zeros text in UTF-16 and UTF-32 is text.
    yield place, content.replace(b"\0", b"")
    if content[:2] == b"\x1f\x8b":
        yield from _unpacked(f"{place} inflated", gzip.decompress(content))
    elif content[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                yield from _unpacked(f"{place} member {name}", name.encode() + archive.read(name))
    elif content[:4] == b"PAR1":
        table = pq.read_table(io.BytesIO(content))
        yield f"{place} rows", repr(table.to_pydict()).encode()
        yield f"{place} schema", repr(table.schema.metadata).encode()
    elif content[:8] == b"\x89PNG\r\n\x1a\n" or content[8:12] == b"WEBP":
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            yield f"{place} about", repr((image.info, dict(image.getexif()))).encode()
    for number, match in enumerate(_ADDRESS.finditer(content)):
        yield from _unpacked(f"{place} address {number}", base64.b64decode(match[1]))


def found(pattern: re.Pattern[bytes], *paths: Path) -> list[str]:
    """Where a pattern stands in files, or in all files below folders: the place and what it is."""
    files = [
        file
        for path in paths
        for file in sorted(path.rglob("*") if path.is_dir() else [path])
        if file.is_file()
    ]
    return [
        f"{place}: {match.decode()}"
        for file in files
        for place, content in held(file)
        for match in sorted({match[0] for match in pattern.finditer(content)})
    ]
