"""Images and label maps in two folders under equal names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from selfscan.scans.formats.suffixes import KNOWN_SUFFIXES, stem_of, suffix_of
from selfscan.scans.inputs.sources import Found, Unusable
from selfscan.scans.inputs.walk import files_by_folder, walk

_NO_IMAGE = (
    "found no image with the name of this label map; expected one; rename it, or leave it out"
)


def read_folder(root: Path) -> Found:
    """Find the scans below a folder; those in `imagesX` take their label maps from `labelsX`."""
    pairs = pairs_in(root)
    found = walk(root, but=pairs.values())
    for images, labels in pairs.items():
        found = with_labels(found, [images], labels)
    return found


def pairs_in(root: Path) -> dict[Path, Path]:
    """The folders `imagesX` of a folder that have a `labelsX` beside them."""
    pairs = {
        images: images.with_name(images.name.replace("images", "labels", 1))
        for images in sorted(root.glob("images*"))
    }
    return {images: labels for images, labels in pairs.items() if labels.is_dir()}


def with_labels(found: Found, roots: Sequence[Path], labels: Path) -> Found:
    """Give each case the label map of its name; label maps without a case are unusable.

    Names are compared without suffix, and with the folders between, below `labels` and below the
    first of `roots` that holds the image; a DICOM folder has the name of the folder.
    """
    unusable: list[Unusable] = []
    maps = {
        _key(file.relative_to(labels)): file
        for _, files in files_by_folder(labels, unusable=unusable)
        for file in files
        if suffix_of(file) in KNOWN_SUFFIXES
    }
    sources = []
    for source in found.sources:
        image = source.images[0]
        root = next((root for root in roots if image.is_relative_to(root)), None)
        own = maps.pop(_key(image.relative_to(root)), None) if root else None
        sources.append(replace(source, labels=own) if own else source)
    unusable += [Unusable(file, _NO_IMAGE) for file in maps.values()]
    return Found(sources, found.unusable + unusable, found.label_names)


def _key(relative: Path) -> str:
    known = suffix_of(relative) in KNOWN_SUFFIXES
    return (relative.parent / (stem_of(relative) if known else relative.name)).as_posix()
