"""A folder to the scans in it: image files by suffix, DICOM by content, a folder of it a case."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from selfscan.scans.formats.suffixes import FOREIGN_SUFFIXES, KNOWN_SUFFIXES, stem_of, suffix_of
from selfscan.scans.inputs.contents import is_dicom, passed_over, special_file
from selfscan.scans.inputs.sources import Found, Source, Unusable, digest

# Folders whose name says nothing of the case.
_IMAGE_FOLDERS = re.compile(r"images(tr|ts|va|val|un)?", re.IGNORECASE)
_LABEL_NAME = re.compile(
    r"(^|[^a-z])(labels?|(d|prob)?seg|segmentations?|(deface)?masks?)$", re.IGNORECASE
)
_LABEL_REASON = (
    "found a name that says it is a label map; expected an image; give label maps by a folder "
    "of their own or a data list, or name the file itself if it is an image"
)


def walk(root: Path, *, but: Collection[Path] = ()) -> Found:
    """Find the scans of a folder and all folders below it, in sorted order.

    Links are followed, each folder once. Hidden files and what is no image are passed over;
    volumes in formats that cannot be read, and files whose names say that they are label maps, are
    unusable, as are folders that cannot be listed. A DICOM folder is named by a digest: its own
    name is often that of a patient.

    Args:
        root: The folder.
        but: Folders to leave out.
    """
    found = Found()
    for folder, files in files_by_folder(root, but=but, unusable=found.unusable):
        relative = folder.relative_to(root)
        others = []
        for file in files:
            suffix = suffix_of(file)
            if file.exists() and not file.is_file():
                reason = f"found {special_file(file)}; expected a file; take it out of the folder"
                found.unusable.append(Unusable(file, reason))
            elif suffix in FOREIGN_SUFFIXES:
                found.unusable.append(Unusable(file, unknown_suffix(suffix)))
            elif suffix not in KNOWN_SUFFIXES:
                others.append(file)
            elif _LABEL_NAME.search(stem_of(file)):
                found.unusable.append(Unusable(file, _LABEL_REASON))
            else:
                found.sources.append(Source(case_name(relative / file.name), (file,)))
        if any(is_dicom(file) for file in others):
            place = relative if relative.parts else Path(root.resolve().name)
            found.sources.append(Source(dicom_name(place), (folder,), kind="dicom"))
    return found


def case_name(relative: Path) -> str:
    """The name of a case, from the path of its image below the folder searched."""
    parts = relative.parent.parts
    if parts and _IMAGE_FOLDERS.fullmatch(parts[0]):
        parts = parts[1:]
    return "__".join((*parts, stem_of(relative)))


def dicom_name(relative: Path) -> str:
    """The name of a DICOM case, which says nothing of the folder it comes from."""
    return f"dicom-{digest(relative, 10)}"


def unknown_suffix(suffix: str) -> str:
    """Why a file of an unknown format is unusable."""
    shown = f"the suffix {suffix!r}" if suffix in FOREIGN_SUFFIXES else "another suffix"
    return (
        f"found {shown}; expected one of {', '.join(KNOWN_SUFFIXES)}, or DICOM; "
        "convert it to NIfTI, with its spacing and orientation"
    )


def files_by_folder(
    root: Path, *, but: Collection[Path] = (), unusable: list[Unusable] | None = None
) -> Iterator[tuple[Path, list[Path]]]:
    """A folder and all below it, each once, with the files that are not passed over, sorted.

    Args:
        root: The folder.
        but: Folders to leave out.
        unusable: Where folders go that cannot be listed.
    """

    def note(error: OSError) -> None:
        if unusable is not None:
            reason = (
                f"found a folder that cannot be listed ({error.strerror}); expected one whose "
                "scans can be found; check its permissions and the disk"
            )
            unusable.append(Unusable(Path(error.filename), reason))

    visited = {path.resolve() for path in but}
    for name, folders, files in os.walk(root, followlinks=True, onerror=note):
        folder = Path(name)
        if folder.resolve() in visited:
            folders.clear()
            continue
        visited.add(folder.resolve())
        folders[:] = sorted(child for child in folders if not child.startswith("."))
        yield folder, [path for file in sorted(files) if not passed_over(path := folder / file)]
