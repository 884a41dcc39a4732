"""Whether stored files are still what `prepare` wrote, by their lengths and SHA-256.

A large store remembers which files were found whole, so that the next run reads only those that
are new or have changed. `checked.txt` holds a line a file: a digest of what was expected, and of
what the system says of the file. A line that is damaged matches none, and costs a reading.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, get_args

from selfscan.progress import Progress, console
from selfscan.scans.containment import require_own
from selfscan.scans.frames import damaged
from selfscan.scans.record import Kind, ScanRecord
from selfscan.scans.store import Store
from selfscan.scans.volumes import Written

CHECKED = "checked.txt"
_LARGE = 2**30  # bytes: less takes a second or two, and is read each time
_SETTLED_NS = 2 * 10**9  # the coarsest clock of a file system: a later change has another time
_SCANS = 256  # after which what was found is remembered, so that a killed check goes on there
_THREADS = 4
_BUFFER = 2**20

# Files that this process found whole, or knows to be: of many runs, the first checks.
_whole: set[str] = set()


class ScanFiles(NamedTuple):
    """The files of a scan that the index knows, in the order of kinds: bytes, and SHA-256."""

    id: str
    lengths: Sequence[int]
    digests: Sequence[str]

    @classmethod
    def of(cls, record: ScanRecord) -> ScanFiles:
        """Those of a record."""
        return cls(record.id, record.file_lengths, record.file_digests)


class _File(NamedTuple):
    folder: Path
    name: str
    written: Written


def require_intact(*stores: Store) -> None:
    """Compare the files of these scans with the digests that the index has of them.

    A file is read once by a process: what was found whole is not read again. A store of a gigabyte
    or more remembers it too, where it can be written to, and has its next run read those files that
    are new or have changed. Files that a store of an earlier version has no digest of are not
    checked, which is told.

    Raises:
        ScanError: A file is missing or is not what `prepare` wrote; the message names the first
            and counts them.
    """
    wrong: dict[Path, str] = {}
    for store in stores:
        scans = _scans_of(store)
        if any(not scan.digests for scan in scans):
            console.print(
                f"note: {store.path} was prepared by an earlier version, which kept no digests of "
                "its files, so whether they are whole is not known; prepare it anew to know",
                soft_wrap=True,
                highlight=False,
            )
        wrong |= find_damage(store.path, scans)
    if wrong:
        path, found = next(iter(wrong.items()))
        more = f", and {len(wrong) - 1} more files that are damaged" if len(wrong) > 1 else ""
        raise damaged(path, found + more)


def find_damage(folder: Path, scans: Sequence[ScanFiles]) -> dict[Path, str]:
    """What is wrong with files of scans of the store in a folder; empty where all are whole."""
    count = sum(len(scan.digests) for scan in scans)
    large = sum(sum(scan.lengths) for scan in scans) >= _LARGE
    memory = folder / CHECKED
    require_own(memory)
    if large and memory.is_file():
        _whole.update(memory.read_text(errors="replace").split())
    wrong: dict[Path, str] = {}
    progress = Progress("check", total=count, unit="files", visible=large)
    with ThreadPoolExecutor(_THREADS) as pool, progress:
        for start in range(0, len(scans), _SCANS):
            files = [
                _File(folder, f"{kind}/{scan.id}.b2nd", Written(length, digest))
                for scan in scans[start : start + _SCANS]
                for kind, length, digest in zip(
                    get_args(Kind), scan.lengths, scan.digests, strict=False
                )
            ]
            found_whole: list[str] = []
            for file, (found, key) in zip(files, pool.map(_damage, files), strict=True):
                if found:
                    wrong[folder / file.name] = found
                elif key:
                    found_whole.append(key)
                progress.advance()
            _whole.update(found_whole)
            if large and found_whole:
                # A store that cannot be written to is as good as any, only read again each time.
                with suppress(OSError), memory.open("a") as lines:
                    lines.write("\n" + "\n".join(found_whole) + "\n")
    return wrong


def _scans_of(store: Store) -> list[ScanFiles]:
    """What the index knows of the files of each scan."""
    names = ("file_lengths", "file_digests")
    if not set(names) <= set(store.columns.names):
        return [ScanFiles(id, (), ()) for id in store.ids]
    columns = (store.columns[name].to_pylist() for name in names)
    return [
        ScanFiles(id, lengths or (), digests or ())
        for id, lengths, digests in zip(store.ids, *columns, strict=True)
    ]


def _damage(file: _File) -> tuple[str, str]:
    """What is wrong with a file, empty if nothing is; and by what it is known as whole from now on.

    The latter is empty where it was known already, and where a change that follows at once could
    have the same time.
    """
    path = file.folder / file.name
    if not path.is_file():
        return "no file", ""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as content:
        status = os.fstat(content.fileno())
        if status.st_size != file.written.length:
            return f"{status.st_size} bytes where there were {file.written.length}", ""
        key = _key(file, status)
        if key in _whole:
            return "", ""
        while chunk := content.read(_BUFFER):
            digest.update(chunk)
        unchanged = _key(file, os.fstat(content.fileno())) == key
    if digest.hexdigest() != file.written.digest:
        return "other bytes than were written there", ""
    age = time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns)
    return "", key if unchanged and age > _SETTLED_NS else ""


def _key(file: _File, status: os.stat_result) -> str:
    """Tells a file in one state; the time of the inode is one that no program can set."""
    state = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    text = f"{file.name} {file.written.digest} {state}"
    return hashlib.sha256(text.encode()).hexdigest()[:20]
