"""Folders claimed before work starts, and files that are there whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from selfscan.errors import SelfscanError

# What the place that is written to is to blame for: no room, no right, a device that fails.
_OF_THE_PLACE = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EROFS,
        errno.EACCES,
        errno.EPERM,
        errno.EIO,
    }
)


class WriteError(SelfscanError):
    """A file that cannot be written where it should be; what was there before is untouched."""


def claim_folder(path: Path, *, resume: bool | None = None, overwrite: bool = False) -> Path:
    """Make the output folder, refusing one that holds anything unless told how to treat it.

    Args:
        path: The folder to write to.
        resume: Go on with what the folder holds; None where the verb cannot.
        overwrite: Delete what the folder holds.

    Raises:
        SelfscanError: The folder is not empty and neither flag is given, both flags are given,
            or the path is a file.
        WriteError: Nothing can be written there.
    """
    if resume and overwrite:
        raise SelfscanError(f"{path}: got both --resume and --overwrite; choose one")
    if path.exists() and not path.is_dir():
        raise SelfscanError(f"{path}: found a file; expected a folder to write to")
    if path.is_dir() and any(path.iterdir()):
        if overwrite:
            with writing(path):
                shutil.rmtree(path)
        elif not resume:
            go_on = "" if resume is None else "--resume to go on with it, "
            raise SelfscanError(
                f"{path}: found a folder that is not empty; give {go_on}--overwrite to delete what "
                "it holds, or another folder"
            )
    require_writable(path)
    return path


def require_writable(folder: Path) -> None:
    """Make a folder and try to write there, before work whose results would have no place.

    Raises:
        WriteError: There is no room, the place is read-only, or the device fails.
    """
    trial = folder / ".partial.trial"
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        trial.touch()
        trial.unlink()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say which file could not be written, and what to do, where the system says why not.

    Raises:
        WriteError: There is no room, the place is read-only, or the device fails.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _OF_THE_PLACE:
            raise
        raise WriteError(
            f"{path}: cannot be written: {error.strerror}; what is finished stays as it is; make "
            "room, or see to the permissions, and give the same command again, with --resume "
            "where the verb has it"
        ) from error


@contextmanager
def written_atomically(path: Path) -> Iterator[Path]:
    """Give a temporary path in the same folder that takes the real name once it is written.

    A process killed at any moment leaves the old file or the new one, never a part. The temporary
    name is the same each time, so that the next write takes over what a killed one left.

    Raises:
        WriteError: There is no room, the place is read-only, or the device fails.
    """
    # The suffix stays last: some writers choose the format, or add an ending, by it.
    temporary = path.with_name(f".partial.{path.name}")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.touch()
            mode = temporary.stat().st_mode
            temporary.unlink()
            yield temporary
            temporary.chmod(mode)  # that of any new file: some writers let nobody else read theirs
            _to_disk(temporary)
            temporary.replace(path)
            _to_disk(path.parent)  # or a power cut could undo the new name
        finally:
            # Where nothing can be written nothing may be there to delete, and the error counts.
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
