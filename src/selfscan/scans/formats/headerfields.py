"""The fields of NRRD and MetaImage headers: as many words, of the kind, as a library has room for.

The libraries that read them next crash on, or never end with, what none of their writers writes.
Formats: teem.sourceforge.net/nrrd/format.html; itk.org/Wiki/MetaIO/Documentation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from selfscan.errors import ScanError
from selfscan.scans.limits import LEAST, MOST

_MOST_AXES = 16
_MOST_SPACE_AXES = 8
_MOST_CHARACTERS = 2000  # of words in quotes
_DIMENSION = ("dimension", "ndims")

# Names in small letters without spaces, as libraries take them.
_SINGLE = ("spacedimension", "byteskip", "lineskip", "headersize", "elementnumberofchannels")
_PER_AXIS = (
    *("sizes", "spacings", "thicknesses", "axismins", "axismaxs"),
    *("dimsize", "elementspacing", "elementsize", "offset", "position", "origin"),
    "centerofrotation",
)
_PER_PAIR = ("transformmatrix", "rotation", "orientation")
_VECTORS = ("spacedirections", "spaceorigin", "measurementframe")
_WORDS = ("kinds", "centers", "centerings")
_QUOTED = ("labels", "units", "spaceunits")
_NO_NUMBER = {"none", "nan", "???", ""}
_VECTOR = re.compile(r"\s*(none|\(([^()]*)\))", re.IGNORECASE)
_QUOTES = re.compile(r'\s*"(\\.|[^"\\])*"')


def require_sane(path: Path, lines: Sequence[str], *, nrrd: bool) -> None:
    """Refuse a header in which a field does not measure a scan.

    Args:
        path: The file, for the message.
        lines: Its header, without the line that names the data.
        nrrd: Which of the two it is.

    Raises:
        ScanError: The number of axes is missing or absurd, or a field has too few or too many
            words for it, or words that are no numbers within reach.
    """
    fields = list(_fields(lines, nrrd=nrrd))
    stated = [value for name, value in fields if name == _DIMENSION[0 if nrrd else 1]]
    axes = int(stated[0]) if len(stated) == 1 and re.fullmatch(r"\d{1,2}", stated[0]) else 0
    if not 1 <= axes <= _MOST_AXES:
        wrong = ("the number of axes", " and ".join(stated) or "nothing")
    else:
        wrong = next((f for f in fields if not _is_measure(*f, axes=axes, nrrd=nrrd)), ("", ""))
    if wrong[0]:
        raise ScanError(
            path,
            found=f"{wrong[1][:40]!r} as {wrong[0]}",
            expected=f"numbers that measure a scan of {axes or 'so many'} axes",
            remedy="correct the header, or export the scan again",
        )


def _fields(lines: Sequence[str], *, nrrd: bool) -> Iterator[tuple[str, str]]:
    """Names and values; MetaImage takes either mark between them."""
    for line in re.split(r"[\r\n]", "\n".join(lines)):
        found = re.match(r"([^:]*)(:)(.*)" if nrrd else r"([^=:]*)([=:])(.*)", line)
        if found and not line.startswith("#"):
            yield re.sub(r"\s", "", found[1]).lower(), found[3].strip()


def _is_measure(name: str, value: str, *, axes: int, nrrd: bool) -> bool:
    """Whether a field has the words that it should; one of another name may have any."""
    numbers = {
        **dict.fromkeys(_SINGLE, 1),
        **dict.fromkeys(_PER_AXIS, axes),
        **dict.fromkeys(() if nrrd else _PER_PAIR, axes * axes),
    }
    if name in numbers:
        words = re.split(r"[\s,]+", value)
        return len(words) == numbers[name] and all(_is_sane(word, nrrd=nrrd) for word in words)
    if not nrrd:
        return True
    if name in _VECTORS:
        most = 1 if name == "spaceorigin" else axes if name == "spacedirections" else 8
        return _are_vectors(value, most=most)
    if name in _WORDS:
        words = value.split()
        return len(words) == axes and all(re.fullmatch(r"[\w?*/+.-]{1,40}", w) for w in words)
    if name in _QUOTED:
        rest, count = _QUOTES.subn("", value)
        return len(value) <= _MOST_CHARACTERS and count <= _MOST_AXES and not rest.strip()
    return True


def _are_vectors(value: str, *, most: int) -> bool:
    """Whether a value is at most so many vectors: (1,0,0) (0,1,0) none."""
    vectors = [found[2] for found in _VECTOR.finditer(value)]
    if _VECTOR.sub("", value).strip() or not 1 <= len(vectors) <= most:
        return False
    words = [vector.split(",") for vector in vectors if vector is not None]
    return all(
        len(numbers) <= _MOST_SPACE_AXES and all(_is_sane(n.strip(), nrrd=True) for n in numbers)
        for numbers in words
    )


def _is_sane(word: str, *, nrrd: bool) -> bool:
    if nrrd and word.lower() in _NO_NUMBER:
        return True
    try:
        size = abs(float(word))
    except ValueError:
        return False
    return size == 0 or LEAST < size < MOST
