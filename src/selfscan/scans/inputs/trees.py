"""A folder of any kind: data sets wherever they lie below it, and all scans beside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from selfscan.errors import ScanError
from selfscan.scans.formats.suffixes import KNOWN_SUFFIXES, suffix_of
from selfscan.scans.inputs.bids import is_bids, read_bids
from selfscan.scans.inputs.datalist import listed_images, read_datalist
from selfscan.scans.inputs.description import read_json
from selfscan.scans.inputs.nnssl import is_nnssl, read_nnssl
from selfscan.scans.inputs.nnunet import is_nnunet, read_nnunet
from selfscan.scans.inputs.pairs import pairs_in, read_folder
from selfscan.scans.inputs.sources import Found, Unusable, merged
from selfscan.scans.inputs.walk import files_by_folder, walk

_LISTS = ("dataset.json", "pretrain_data.json")


def read_tree(root: Path) -> Found:
    """Find the scans below a folder, which may be a data set or hold some.

    A data set is a folder with a list of cases, a BIDS description, or `imagesX` and `labelsX`.
    Of one below `root`, a list that cannot be understood is unusable and its folder is searched
    like any other.

    Raises:
        ScanError: The list of `root` itself cannot be understood.
    """
    if _is_data_set(root):
        return _read(root)
    wrong = Found()
    parts: dict[Path, Found] = {}
    for folder in _data_sets(root):
        try:
            part = _read(folder)
        except ScanError as error:
            wrong.unusable.append(Unusable(error.path, error.reason))
            part = read_folder(folder)
        parts[folder] = _placed(part, folder.relative_to(root))
    return merged([walk(root, but=parts), wrong, *parts.values()])


def read_list(path: Path) -> Found:
    """Read the cases of a JSON list: of nnssl, of nnU-Net's folder, or a data list.

    Raises:
        ScanError: It lists no case.
    """
    content = read_json(path)
    if is_nnssl(content):
        return read_nnssl(path, content)
    numbered = path.name == "dataset.json" and is_nnunet(path.parent)
    if numbered and not any(image.exists() for image in listed_images(path)[:1]):
        return read_nnunet(path.parent)
    return read_datalist(path)


def _is_data_set(folder: Path) -> bool:
    described = any((folder / name).is_file() for name in (*_LISTS, "dataset_description.json"))
    return described or bool(pairs_in(folder))


def _read(folder: Path) -> Found:
    for name in _LISTS:
        if (folder / name).is_file():
            found = read_list(folder / name)
            found.unusable += _not_listed(folder, found, name)
            return found
    return read_bids(folder) if is_bids(folder) else read_folder(folder)


def _data_sets(root: Path) -> Iterator[Path]:
    """The outermost data sets below a folder, in sorted order."""
    last: Path | None = None
    for folder, _ in files_by_folder(root):
        inside = last is not None and folder.is_relative_to(last)
        if folder != root and not inside and _is_data_set(folder):
            last = folder
            yield folder


def _placed(part: Found, place: Path) -> Found:
    """The cases of a data set under the name of its place; digests of DICOM folders stay."""
    sources = [
        source
        if source.kind == "dicom"
        else replace(source, name=f"{'__'.join(place.parts)}__{source.name}")
        for source in part.sources
    ]
    return Found(sources, part.unusable, part.label_names)


def _not_listed(folder: Path, found: Found, name: str) -> list[Unusable]:
    """Folders with image files that a list does not name: by oversight, or on purpose."""
    listed = {path.resolve() for source in found.sources for path in source.images}
    listed |= {source.labels.resolve() for source in found.sources if source.labels}
    listed |= {wrong.path.resolve() for wrong in found.unusable}
    left_out: list[Unusable] = []
    for place, files in files_by_folder(folder, unusable=left_out):
        images = [file for file in files if suffix_of(file) in KNOWN_SUFFIXES]
        count = sum(file.resolve() not in listed for file in images)
        if count:
            reason = f"found {count} image files that {name} does not list; expected it to list all"
            left_out.append(Unusable(place, f"{reason}; give this folder too to take them"))
    return left_out
