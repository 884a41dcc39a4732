"""The search for scans: files, folders, DICOM, data sets and lists, images with labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from selfscan.errors import ScanError
from selfscan.scans.formats.suffixes import KNOWN_SUFFIXES, stem_of, suffix_of
from selfscan.scans.inputs.contents import is_dicom
from selfscan.scans.inputs.pairs import with_labels
from selfscan.scans.inputs.sources import (
    Found,
    Source,
    Unusable,
    merged,
    with_unique_names,
    without_repeats,
)
from selfscan.scans.inputs.trees import read_list, read_tree
from selfscan.scans.inputs.walk import dicom_name, unknown_suffix, walk

__all__ = ["Found", "Source", "Unusable", "find"]


def find(paths: Sequence[Path | str], *, labels: Path | str | None = None) -> Found:
    """Find the cases that paths lead to, without reading any voxel.

    Args:
        paths: Image files, DICOM slices, folders, data sets (nnU-Net, BIDS), or JSON lists.
        labels: A folder of label maps that have the names of the images.

    Returns:
        Cases in a stable order with unique names, and everything that was meant as a scan and
        cannot be one, with the reason.

    Raises:
        ScanError: A data list that cannot be understood, a label folder that is not there, or two
            data sets that name a label differently.
    """
    label_folder = None if labels is None else Path(labels)
    if label_folder is not None and not label_folder.is_dir():
        raise ScanError(
            label_folder,
            found="no such folder",
            expected="a folder of label maps",
            remedy="correct the path",
        )
    given = [_folder_of_directory(Path(path)) for path in paths]
    slices = {path for path in given if path.exists() and _is_slice(path)}
    parts = [_search(path, label_folder) for path in given if path not in slices]
    found = merged([*parts, Found(_series(slices))])
    # A folder that a data set leaves aside is none that is left out where it is given too.
    folders = {path.resolve() for path in given if path.is_dir()}
    found.unusable = [item for item in found.unusable if item.path.resolve() not in folders]
    if label_folder is not None:
        roots = [path if path.is_dir() else path.parent for path in given]
        found = with_labels(found, roots, label_folder)
    found = without_repeats(found)
    found.sources = with_unique_names(found.sources)
    return found


def _folder_of_directory(path: Path) -> Path:
    """The folder that a DICOMDIR is the table of contents of; any other path stays."""
    listed = path.is_file() and path.name.upper() == "DICOMDIR" and is_dicom(path)
    return path.parent if listed else path


def _is_slice(path: Path) -> bool:
    return suffix_of(path) not in KNOWN_SUFFIXES and is_dicom(path)


def _search(path: Path, labels: Path | None) -> Found:
    """What one path leads to, `labels` left aside."""
    suffix = suffix_of(path)
    if path.is_dir():
        if labels is None or (path / "dataset.json").is_file():
            return read_tree(path)
        return walk(path, but=[labels])
    if not path.exists():
        return _unusable(path, "found no such file; expected a scan; correct the path")
    if suffix == ".json":
        return read_list(path)
    if suffix not in KNOWN_SUFFIXES:
        return _unusable(path, unknown_suffix(suffix))
    return Found([Source(stem_of(path), (path,))])


def _series(slices: Iterable[Path]) -> list[Source]:
    """DICOM files that were given one by one, those of one folder as one case."""
    folders: dict[Path, list[Path]] = {}
    for file in slices:
        folders.setdefault(file.parent, []).append(file)
    return [
        Source(dicom_name(Path(folder.resolve().name)), tuple(sorted(files)), kind="dicom")
        for folder, files in sorted(folders.items())
    ]


def _unusable(path: Path, reason: str) -> Found:
    return Found(unusable=[Unusable(path, reason)])
