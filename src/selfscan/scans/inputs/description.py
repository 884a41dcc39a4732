"""The JSON files that describe a data set: read, and what they say of labels and channels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfscan.errors import ScanError
from selfscan.scans.inputs.contents import special_file
from selfscan.scans.scan import Modality

_MODALITY_WORDS: dict[Modality, tuple[str, ...]] = {
    "ct": ("ct",),
    "mr": (
        *("mr", "mri", "t1", "t1w", "t1c", "t1gd", "t1ce", "t2", "t2w", "flair", "adc", "dwi"),
        *("pd", "pdw", "pdt2", "t2star", "t2starw", "t1map", "t2map", "mp2rage", "unit1", "swi"),
        *("bold", "sbref", "asl", "angio", "inplanet1", "inplanet2", "flash", "trace", "fa", "md"),
    ),
    "pt": ("pt", "pet", "suv"),
}


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        ScanError: The file is missing, is no JSON, or holds something else than an object.
    """
    if path.exists() and not path.is_file():
        raise ScanError(
            path, found=special_file(path), expected="a JSON file", remedy="correct the path"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ScanError(
            path,
            found=f"a file that cannot be opened ({error.strerror})",
            expected="a JSON file",
            remedy="correct the path",
        ) from error
    except (ValueError, RecursionError) as error:
        raise ScanError(
            path,
            found=f"text that is no JSON ({error})",
            expected="a JSON object",
            remedy="correct the file",
        ) from error
    if not isinstance(content, dict):
        raise ScanError(
            path,
            found=f"a JSON {type(content).__name__}",
            expected="an object of names",
            remedy="give lists of cases under names such as `training` and `test`",
        )
    return content


def label_names(content: Mapping[str, Any]) -> dict[int, str]:
    """Label values and names from `labels`, written either way round, sorted by value.

    A name that stands for several values, as nnU-Net's regions do, names no single class and is
    left out.
    """
    entries = content.get("labels", {})
    names: dict[int, str] = {}
    for key, value in entries.items() if isinstance(entries, dict) else enumerate(entries):
        if isinstance(value, int):
            names[value] = str(key)
        elif isinstance(value, str) and value.isdigit():
            names[int(value)] = str(key)
        elif isinstance(value, str) and str(key).isdigit():
            names[int(key)] = value
    return dict(sorted(names.items()))


def modalities(content: Mapping[str, Any], channels: int) -> tuple[Modality | None, ...]:
    """What `modality` or `channel_names` say of each channel; None where the words are others."""
    said = [content.get(field) for field in ("modality", "channel_names")]
    tables = [table for table in said if isinstance(table, dict)]
    return tuple(
        next((m for table in tables if (m := modality_of(table.get(str(channel))))), None)
        for channel in range(channels)
    )


def modality_of(word: object) -> Modality | None:
    """What a word such as `T1w` means, None where it is another one."""
    text = str(word).strip().lower()
    return next((name for name, words in _MODALITY_WORDS.items() if text in words), None)
