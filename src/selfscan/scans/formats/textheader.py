"""The text headers of NRRD and MetaImage: which files hold the voxels, and how they are packed."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from selfscan.errors import ScanError
from selfscan.scans.formats.headerfields import require_sane
from selfscan.scans.inputs.contents import first_bytes
from selfscan.scans.limits import MAX_DATA_FILES

_HEADER_BYTES = 1 << 20
_PATTERN = re.compile(r"[^%]*%0?\d?d[^%]*")
_DATA = {"elementdatafile", "data file", "datafile"}
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
    header: list[str] = []
    for number, line in enumerate(lines):
        start += len(line) + 1
        name, mark, value = line.partition(":" if nrrd else "=")
        if nrrd and not line.strip():
            break
        is_data = name.strip().lower() in _DATA
        if is_data and fields.keys() & _DATA:
            raise ScanError(
                path,
                found="a header that names its data twice",
                expected="one name",
                remedy="correct it, or export the scan again",
            )
        if mark:
            fields[name.strip().lower()] = value.strip()
        if is_data:
            listed = lines[number + 1 :] if value.split()[:1] in (["LIST"], ["list"]) else []
            if listed or not nrrd:
                break
        else:
            header.append(line)
    else:
        if start > _HEADER_BYTES:
            raise ScanError(
                path,
                found=f"a header that does not end in {_HEADER_BYTES:,} bytes",
                expected="a few lines",
                remedy="export the scan again",
            )
    named = fields.get("elementdatafile", fields.get("data file", fields.get("datafile", "")))
    if not nrrd and not named:
        raise ScanError(
            path,
            found="a file without an NRRD or MetaImage header",
            expected="NRRD or MetaImage",
            remedy="convert it, or give it its own suffix",
        )
    require_sane(path, header, nrrd=nrrd)
    return TextHeader(
        data=tuple(_beside(path, name) for name in _names(path, named, listed)),
        packing=_packing(fields),
        start=start,
        anatomical=not nrrd or fields.get("space", "").lower().startswith(_PATIENT_SPACES),
    )


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
