"""Folders claimed before work starts, and files that are there whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selfscan.errors import SelfscanError


def claim_folder(path: Path, *, resume: bool | None = None, overwrite: bool = False) -> Path:
    """Make the output folder, refusing one that holds anything unless told how to treat it.

    Args:
        path: The folder to write to.
        resume: Go on with what the folder holds; None where the verb cannot.
        overwrite: Delete what the folder holds.

    Raises:
        SelfscanError: The folder is not empty and neither flag is given, both flags are given,
            or the path is a file.
    """
    if resume and overwrite:
        raise SelfscanError(f"{path}: got both --resume and --overwrite; choose one")
    if path.exists() and not path.is_dir():
        raise SelfscanError(f"{path}: found a file; expected a folder to write to")
    if path.is_dir() and any(path.iterdir()):
        if overwrite:
            shutil.rmtree(path)
        elif not resume:
            go_on = "" if resume is None else "--resume to go on with it, "
            raise SelfscanError(
                f"{path}: found a folder that is not empty; give {go_on}--overwrite to delete what "
                "it holds, or another folder"
            )
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def written_atomically(path: Path) -> Iterator[Path]:
    """Give a temporary path in the same folder that takes the real name once it is written.

    A process killed at any moment leaves the old file or the new one, never a part. The temporary
    name is the same each time, so that the next write takes over what a killed one left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last: some writers choose the format, or add an ending, by it.
    temporary = path.with_name(f".partial.{path.name}")
    try:
        temporary.touch()
        mode = temporary.stat().st_mode
        temporary.unlink()
        yield temporary
        temporary.chmod(mode)  # that of any new file: some writers let nobody else read theirs
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
