"""Whether stored files are still what `prepare` wrote, by their lengths and SHA-256."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from selfscan.progress import Progress, console
from selfscan.scans.record import ScanRecord
from selfscan.scans.store import Store
from selfscan.scans.volumes import Written, damaged

_THREADS = 4
_BUFFER = 2**20
_SHOWN_FROM = 2**30  # bytes: less takes a second or two

# Files that this process found whole, by path, length and time: of many runs, the first checks.
_whole: set[tuple[Path, int, int]] = set()


def require_intact(*stores: Store) -> None:
    """Compare each file of these scans with the digest that the index has of it.

    A file is read once by a process: what was found whole is not read again. Files that a store of
    an earlier version has no digest of are not checked, which is told.

    Raises:
        ScanError: A file is missing or is not what `prepare` wrote; the message names the first
            and counts them.
    """
    for store in stores:
        if any(not record.file_digests for record in store):
            console.print(
                f"note: {store.path} was prepared by an earlier version, which kept no digests of "
                "its files, so whether they are whole is not known; prepare it anew to know",
                soft_wrap=True,
                highlight=False,
            )
    wrong = find_damage([(s.path, record) for s in stores for record in s])
    if wrong:
        path, found = next(iter(wrong.items()))
        more = f", and {len(wrong) - 1} more files that are damaged" if len(wrong) > 1 else ""
        raise damaged(path, found + more)


def find_damage(records: Iterable[tuple[Path, ScanRecord]]) -> dict[Path, str]:
    """What is wrong with files of scans, each given with the folder of its store; none if whole."""
    files = {path: written for folder, r in records for path, written in _files_of(folder, r)}
    visible = sum(written.length for written in files.values()) >= _SHOWN_FROM
    wrong = {}
    progress = Progress("check", total=len(files), unit="files", visible=visible)
    with ThreadPoolExecutor(_THREADS) as pool, progress:
        found_in = pool.map(_damage, files.keys(), files.values())
        for path, found in zip(files, found_in, strict=True):
            if found:
                wrong[path] = found
            progress.advance()
    return wrong


def _files_of(folder: Path, record: ScanRecord) -> Iterator[tuple[Path, Written]]:
    """The files of a scan that the index has digests of."""
    known = zip(record.kinds, record.file_lengths, record.file_digests, strict=False)
    for kind, length, digest in known:
        yield folder / kind / f"{record.id}.b2nd", Written(length, digest)


def _damage(path: Path, written: Written) -> str:
    """What is wrong with a file; empty if nothing is."""
    if not path.is_file():
        return "no file"
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        status = os.fstat(file.fileno())
        if status.st_size != written.length:
            return f"{status.st_size} bytes where there were {written.length}"
        key = (path.resolve(), status.st_size, status.st_mtime_ns)
        if key in _whole:
            return ""
        while chunk := file.read(_BUFFER):
            digest.update(chunk)
    if digest.hexdigest() != written.digest:
        return "other bytes than were written there"
    _whole.add(key)
    return ""
