"""Lists of cases in JSON: Decathlon and MONAI data lists, and the splits of a data set."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from selfscan.errors import ScanError
from selfscan.scans.formats.suffixes import KNOWN_SUFFIXES, suffix_of
from selfscan.scans.inputs.description import label_names, modalities, read_json
from selfscan.scans.inputs.sources import Found, Source, Unusable
from selfscan.scans.inputs.walk import case_name, unknown_suffix

_CHANNEL = re.compile(r"_\d{4}$")
_SPLITS = {"training": "train", "val": "validation", "valid": "validation", "testing": "test"}


def read_datalist(path: Path) -> Found:
    """Read the cases that a JSON file lists, relative to its folder.

    Each key with a list of `{"image": ..., "label": ...}`, or of paths, is a split, under its
    usual name (`split_name`). An image may be a list of channels.

    Raises:
        ScanError: The file holds no JSON object or lists no case.
    """
    content = read_json(path)
    lists = case_lists(content)
    if not lists:
        raise ScanError(
            path,
            found="no list of cases",
            expected='a list such as "training": [{"image": ..., "label": ...}]',
            remedy="give a Decathlon or MONAI data list, or a folder",
        )
    found = Found(label_names=label_names(content))
    for key, entries in lists.items():
        split = split_name(key)
        for number, entry in enumerate(entries):
            images, labels = _files(path.parent, entry)
            if not images:
                reason = f"found no image in entry {number} of {key!r}; expected a path; correct it"
                found.unusable.append(Unusable(path, reason))
                continue
            source = Source(
                _name(path.parent, images),
                images,
                labels,
                split,
                modality=modalities(content, len(images)),
            )
            wrong = wrong_file(source)
            if wrong:
                found.unusable.append(wrong)
            else:
                found.sources.append(source)
    return found


def case_lists(content: dict[str, Any]) -> dict[str, list[Any]]:
    """The keys of a data list whose values are lists of cases."""
    return {
        key: value
        for key, value in content.items()
        if isinstance(value, list)
        and any(
            (isinstance(entry, dict) and "image" in entry)
            or (isinstance(entry, str) and suffix_of(Path(entry)) in KNOWN_SUFFIXES)
            for entry in value
        )
    }


def listed_images(path: Path) -> list[Path]:
    """The image files that a JSON file lists, none where it lists no case."""
    lists = case_lists(read_json(path)).values()
    return [
        image for entries in lists for entry in entries for image in _files(path.parent, entry)[0]
    ]


def split_name(name: str) -> str:
    """`train`, `validation` or `test` for their other usual names; any other name stays."""
    return _SPLITS.get(name, name)


def read_splits(path: Path) -> dict[str, str]:
    """Read which split each case is in, from a JSON object of lists of case names.

    Whatever is no list of names (counts, notes, nested subsets of a split) is passed over.

    Returns:
        Case name to split name.

    Raises:
        ScanError: No such list, or a case in two of them.
    """
    splits: dict[str, str] = {}
    for key, names in read_json(path).items():
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            continue
        split = split_name(key)
        for name in names:
            if splits.setdefault(name, split) != split:
                raise ScanError(
                    path,
                    found=f"the case {name} in both {splits[name]!r} and {split!r}",
                    expected="each case in one split",
                    remedy="take it out of one of them",
                )
    if not splits:
        raise ScanError(
            path,
            found="no list of case names",
            expected='lists such as "train": ["case_1", ...]',
            remedy="give an object with a list of names for each split",
        )
    return splits


def wrong_file(source: Source) -> Unusable | None:
    """The first file of a listed case that is missing or of an unknown format."""
    for path in (*source.images, *((source.labels,) if source.labels else ())):
        if not path.exists():
            reason = "found no such file; expected the file of a case that is listed"
            return Unusable(path, f"{reason}; restore it, or take the case off the list")
        if path.is_file() and suffix_of(path) not in KNOWN_SUFFIXES:
            return Unusable(path, unknown_suffix(suffix_of(path)))
    return None


def _files(folder: Path, entry: object) -> tuple[tuple[Path, ...], Path | None]:
    """Images and labels of one entry; a label that is no path, such as a class, is none."""
    case: dict[str, Any] = entry if isinstance(entry, dict) else {"image": entry}
    images, labels = case.get("image"), case.get("label")
    named: list[Any] = images if isinstance(images, list) else [images]
    if not all(isinstance(image, str) for image in named):
        return (), None
    paths = tuple(Path(os.path.normpath(folder / image)) for image in named)
    return paths, Path(os.path.normpath(folder / labels)) if isinstance(labels, str) else None


def _name(folder: Path, images: tuple[Path, ...]) -> str:
    """The name from the first image, without the number of its channel where there are several."""
    first, folder = images[0], Path(os.path.normpath(folder))
    inside = first.is_relative_to(folder)
    name = case_name(first.relative_to(folder) if inside else Path(first.name))
    return _CHANNEL.sub("", name) if len(images) > 1 else name
