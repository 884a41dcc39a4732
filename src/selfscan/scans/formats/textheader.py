"""The text headers of NRRD and MetaImage: which files hold the voxels, and how they are packed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from selfscan.errors import ScanError
from selfscan.scans.inputs.contents import first_bytes

_HEADER_BYTES = 1 << 20
_PATIENT_SPACES = ("right", "left", "ras", "las", "lps")


@dataclass(frozen=True)
class TextHeader:
    """What the header says beside the geometry.

    Attributes:
        data: The files that hold the voxels; none where the header's own file does.
        packing: "raw", "gzip" (NRRD), "zlib" (MetaImage), or "other" for text and bzip2, whose
            size says nothing.
        start: Bytes before the voxels in the header's own file.
        anatomical: Whether the axes are said to be the patient's.
    """

    data: tuple[Path, ...]
    packing: str
    start: int
    anatomical: bool


def read_text_header(path: Path) -> TextHeader:
    """Read the header of a .nrrd, .nhdr, .mha or .mhd file.

    Raises:
        ScanError: The file is not there, is empty, or starts otherwise.
    """
    # One byte is one character of latin-1, so that lengths are offsets.
    lines = first_bytes(path, _HEADER_BYTES).decode("latin-1").split("\n")
    nrrd = lines[0].startswith("NRRD")
    fields: dict[str, str] = {}
    listed: list[str] = []
    start = 0
    for number, line in enumerate(lines):
        start += len(line) + 1
        name, mark, value = line.partition(":" if nrrd else "=")
        if nrrd and not line.strip():
            break
        if mark:
            fields[name.strip().lower()] = value.strip()
        if name.strip().lower() in ("elementdatafile", "data file", "datafile"):
            listed = lines[number + 1 :] if value.split()[:1] in (["LIST"], ["list"]) else []
            break
    named = fields.get("elementdatafile", fields.get("data file", fields.get("datafile", "")))
    if not nrrd and not named:
        raise ScanError(
            path,
            found="a file without an NRRD or MetaImage header",
            expected="NRRD or MetaImage",
            remedy="convert it, or give it its own suffix",
        )
    return TextHeader(
        data=tuple(path.parent / name for name in _names(named, listed)),
        packing=_packing(fields),
        start=start,
        anatomical=not nrrd or fields.get("space", "").lower().startswith(_PATIENT_SPACES),
    )


def _names(named: str, listed: list[str]) -> list[str]:
    """The data files, from one name, a list of lines, or a pattern with its range of numbers."""
    words = named.split()
    if not words or words[0].upper() == "LOCAL":
        return []
    if words[0].upper() == "LIST":
        return [line.strip() for line in listed if line.strip()]
    if "%" in words[0] and len(words) >= 4 and all(word.isdigit() for word in words[1:4]):
        first, last, step = (int(word) for word in words[1:4])
        return [words[0] % number for number in range(first, last + 1, step)]
    return [named]


def _packing(fields: dict[str, str]) -> str:
    encoding = fields.get("encoding", "raw").lower()
    if encoding in ("gzip", "gz"):
        return "gzip"
    if fields.get("compresseddata", "").lower() in ("true", "1"):
        return "zlib"
    binary = fields.get("binarydata", "true").lower() in ("true", "1")
    return "raw" if encoding == "raw" and binary else "other"
