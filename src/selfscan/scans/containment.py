"""A store keeps to its folder: what would lead out of it, or hold a reader up, is refused by name.

A store may come from a stranger. Its index names files, and its folders may hold links: followed,
they would have voxels read, predictions written or, in `prepare --resume`, files deleted elsewhere.
"""

from __future__ import annotations

import stat
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from selfscan.errors import SelfscanError

_LEADS_OUT = r"^\.{0,2}$|[/\x00]"  # as the name of a file: nothing, the folder, its parent, a path


def require_own_entries(folder: Path) -> None:
    """Refuse a folder of a store in which there is anything but files and folders.

    Raises:
        SelfscanError: A link, a pipe, a socket or a device.
    """
    for entry in sorted(folder.iterdir()):
        require_own(entry)


def require_own(path: Path) -> None:
    """Refuse what is there in the place of a file or folder of a store; it may be missing.

    Raises:
        SelfscanError: A link, a pipe, a socket or a device.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        found = f"a link to {path.readlink()}" if stat.S_ISLNK(mode) else "a pipe or a device"
        raise SelfscanError(
            f"{path}: found {found}; expected a file or folder of the store itself; put what it "
            "stands for in its place, if you trust it"
        )


def require_names(index: Path, ids: pa.Array) -> None:
    """Refuse ids of scans that are no names of files, as they become part of paths.

    Raises:
        SelfscanError: An id is empty, is missing, or has a slash in it.
    """
    wrong = pc.fill_null(pc.match_substring_regex(ids, _LEADS_OUT), True)
    if (at := wrong.index(True).as_py()) >= 0:
        raise SelfscanError(
            f"{index}: found {str(ids[at].as_py())[:200]!r} as the id of a scan; expected a name "
            "without slashes; the index is damaged, or was made to lead out of its folder"
        )
