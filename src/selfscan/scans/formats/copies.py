"""The same DICOM slice twice in one folder, as exports in several goes leave it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK

from selfscan.scans.formats.slices import SliceHeader


def without_copies(headers: Sequence[SliceHeader]) -> tuple[list[SliceHeader], int]:
    """Keep the first of slices that are one object, and count the others.

    Copies have one SOPInstanceUID, one place and the same pixels. Slices that only share the UID
    stay, for the check of the positions to judge.
    """
    kept: list[SliceHeader] = []
    first_of: dict[tuple[object, ...], SliceHeader] = {}
    for header in headers:
        key = (header.uid, header.position, header.orientation, header.size)
        first = first_of.setdefault(key, header)
        if first is header or not header.uid or not _same_pixels(first, header):
            kept.append(header)
    return kept, len(headers) - len(kept)


def _same_pixels(first: SliceHeader, second: SliceHeader) -> bool:
    try:
        return np.array_equal(_pixels(first), _pixels(second))
    except RuntimeError:
        return False


def _pixels(header: SliceHeader) -> npt.NDArray[Any]:
    image = SimpleITK.ReadImage(str(header.path), imageIO="GDCMImageIO")
    return np.asarray(SimpleITK.GetArrayFromImage(image))
