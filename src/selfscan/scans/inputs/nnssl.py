"""nnssl's list of scans, `pretrain_data.json`: data sets, their subjects, sessions and images.

Format: github.com/MIC-DKFZ/nnssl, documentation/dataset_format.md.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from selfscan.errors import ScanError
from selfscan.scans.formats.suffixes import stem_of
from selfscan.scans.inputs.datalist import wrong_file
from selfscan.scans.inputs.description import modality_of
from selfscan.scans.inputs.sources import Found, Source, Unusable

_NOT_IN_NAMES = re.compile(r"[^\w.+-]+")


def is_nnssl(content: Mapping[str, Any]) -> bool:
    """Whether a JSON object is a collection of data sets, or one data set, as nnssl writes them."""
    return any(isinstance(content.get(key), dict) for key in ("datasets", "subjects"))


def read_nnssl(path: Path, content: Mapping[str, Any]) -> Found:
    """Read all images, each a case of its subject; a subject is unique in its data set only.

    Paths may begin with `$nnssl_raw` or another environment variable; others are relative to the
    list's folder. Masks that go with an image say what was defaced or where anatomy is: they are
    no label maps and are left aside.

    Raises:
        ScanError: The list is built otherwise, or begins paths with a variable that is not set.
    """
    found = Found()
    try:
        for data_set, subject, session, image in _images(content):
            place = _path(path, str(image["image_path"]))
            file = str(image.get("name") or place.name)
            words = (data_set, subject, session, stem_of(Path(file)))
            source = Source(
                "__".join(_NOT_IN_NAMES.sub("-", word) for word in words),
                (place,),
                subject=f"{data_set}/{subject}",
                modality=(modality_of(image.get("modality")),),
            )
            wrong = wrong_file(source)
            if wrong:
                found.unusable.append(wrong)
            else:
                found.sources.append(source)
    except (AttributeError, KeyError, TypeError) as error:
        raise ScanError(
            path,
            found=f"a list of nnssl that is built otherwise ({type(error).__name__}: {error})",
            expected="datasets, subjects, sessions and images with an image_path",
            remedy="write it with nnssl's Collection",
        ) from error
    if not found.sources and not found.unusable:
        found.unusable.append(
            Unusable(path, "found no image in it; expected some; correct the list")
        )
    return found


def _images(content: Mapping[str, Any]) -> Iterator[tuple[str, str, str, Mapping[str, Any]]]:
    """Data set, subject, session and image of each entry."""
    data_sets = content.get("datasets", {"": content})
    for key, data_set in data_sets.items():
        for subject, about in data_set["subjects"].items():
            for session, visit in about["sessions"].items():
                for image in visit["images"]:
                    yield str(data_set.get("dataset_index", key)), subject, session, image


def _path(path: Path, written: str) -> Path:
    first, _, rest = written.partition("/")
    if not first.startswith("$"):
        return Path(os.path.normpath(path.parent / written))
    value = os.environ.get(first[1:])
    if not value:
        raise ScanError(
            path,
            found=f"paths that begin with {first}, which is not set",
            expected="an environment variable that names a folder",
            remedy=f"export {first[1:]}=FOLDER",
        )
    return Path(os.path.normpath(Path(value) / rest))
