"""The text headers of NRRD and MetaImage: which files hold the voxels, and how they are packed."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from selfscan.errors import ScanError
from selfscan.scans.inputs.contents import first_bytes
from selfscan.scans.limits import LEAST, MAX_DATA_FILES, MOST

_HEADER_BYTES = 1 << 20
_PATTERN = re.compile(r"[^%]*%0?\d?d[^%]*")
_META_IMAGE = (
    *("ndims", "dimsize", "elementspacing", "elementsize", "elementnumberofchannels"),
    *("headersize", "transformmatrix", "rotation", "orientation", "offset", "position", "origin"),
    "centerofrotation",
)
_NRRD = (
    *("dimension", "space dimension", "sizes", "spacings", "thicknesses", "axis mins", "axismins"),
    *("axis maxs", "axismaxs", "space directions", "space origin", "measurement frame"),
    *("byte skip", "byteskip", "line skip", "lineskip"),
)
_MEASURES = frozenset((*_META_IMAGE, *_NRRD))
_NOTHING = {"none", "nan", "???", ""}
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
    _require_sane(path, lines[:number], nrrd=nrrd)
    named = fields.get("elementdatafile", fields.get("data file", fields.get("datafile", "")))
    if not nrrd and not named:
        raise ScanError(
            path,
            found="a file without an NRRD or MetaImage header",
            expected="NRRD or MetaImage",
            remedy="convert it, or give it its own suffix",
        )
    return TextHeader(
        data=tuple(_beside(path, name) for name in _names(path, named, listed)),
        packing=_packing(fields),
        start=start,
        anatomical=not nrrd or fields.get("space", "").lower().startswith(_PATIENT_SPACES),
    )


def _require_sane(path: Path, lines: list[str], *, nrrd: bool) -> None:
    """Refuse numbers that would crash, or never end in, the libraries that read them next."""
    for line in lines:
        name, mark, value = re.sub(r"\s", " ", line).partition(":") if nrrd else _parted(line)
        if not mark or name.strip().lower() not in _MEASURES:
            continue
        words = re.split(r"[\s,()]+", value.strip(" ()"))
        if nrrd and set(words) <= _NOTHING:
            continue
        wrong = [word for word in words if not _is_sane(word, nrrd=nrrd)]
        many = (
            not wrong
            and name.strip().lower() in ("ndims", "dimension")
            and (words[1:] or float(words[0]) > 16)
        )
        if wrong or many:
            raise ScanError(
                path,
                found=f"{(wrong or words)[0][:40]!r} as {name.strip()}",
                expected="numbers that measure a scan",
                remedy="correct the header, or export the scan again",
            )


def _parted(line: str) -> tuple[str, str, str]:
    """Name, mark and value of a line of MetaImage, which takes either mark."""
    found = re.match(r"([^=:]*)([=:])(.*)", line)
    return (found[1], found[2], found[3]) if found else (line, "", "")


def _is_sane(word: str, *, nrrd: bool) -> bool:
    if nrrd and word.lower() in _NOTHING:
        return True
    try:
        size = abs(float(word))
    except ValueError:
        return False
    return size == 0 or LEAST < size < MOST


def _beside(path: Path, name: str) -> Path:
    """The data file of a header: in its folder or below it, as a header may come from anyone."""
    file = Path(os.path.normpath(path.parent / name))
    if "\0" in name or not file.is_relative_to(os.path.normpath(path.parent)):
        raise ScanError(
            path,
            found="a header whose voxels are in a file elsewhere",
            expected="a file in the header's own folder",
            remedy="put the file beside its header, and correct the name in it",
        )
    return file


def _names(path: Path, named: str, listed: list[str]) -> list[str]:
    """The data files, from one name, a list of lines, or a pattern with its range of numbers."""
    words = named.split()
    if not words or words[0].upper() == "LOCAL":
        return []
    if words[0].upper() == "LIST":
        return [line.strip() for line in listed if line.strip()]
    if "%" in words[0] and len(words) >= 4 and all(word.isdigit() for word in words[1:4]):
        first, last, step = (int(word) for word in words[1:4])
        numbers = range(first, last + 1, max(step, 1))
        if len(numbers) <= MAX_DATA_FILES and _PATTERN.fullmatch(words[0]):
            return [words[0] % number for number in numbers]
        raise ScanError(
            path,
            found="data files by another pattern, or by too many numbers",
            expected=f"a pattern such as slice_%03d.raw of at most {MAX_DATA_FILES:,} files",
            remedy="correct the header, or save the scan in one file",
        )
    return [named]


def _packing(fields: dict[str, str]) -> str:
    encoding = fields.get("encoding", "raw").lower()
    if encoding in ("gzip", "gz"):
        return "gzip"
    if fields.get("compresseddata", "").lower() in ("true", "1"):
        return "zlib"
    binary = fields.get("binarydata", "true").lower() in ("true", "1")
    return "raw" if encoding == "raw" and binary else "other"
