"""What inputs are made from: whole files, and the reader that gets them changed."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mutation import mutated

_SHAPE = (6, 5, 4)


@dataclass(frozen=True)
class Seed:
    """A file, or a folder of files, that is read without fault.

    Attributes:
        files: Contents by name.
        changed: The names of those that are changed.
    """

    files: dict[str, bytes]
    changed: tuple[str, ...]


@dataclass(frozen=True)
class Target:
    """A reader of files of others.

    Attributes:
        name: What it reads.
        seeds: Given a folder to work in and that of real scans, if any: what to start from.
        read: Given a folder with a seed's files and the name of the one that was changed.
        change: A file's content, changed.
    """

    name: str
    seeds: Callable[[Path, Path | None], list[Seed]]
    read: Callable[[Path, str], object]
    change: Callable[[bytes, random.Random], bytes] = mutated


def one(name: str, content: bytes) -> Seed:
    return Seed({name: content}, (name,))


def voxels() -> np.ndarray:
    return np.random.default_rng(3).integers(-900, 900, _SHAPE).astype(np.int16)


def lay_out(seed: Seed, folder: Path) -> None:
    """Write the files of a seed into an empty folder."""
    for name, content in seed.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def emptied(folder: Path) -> Path:
    """The folder, without what it held."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return folder


def data_folder() -> Path | None:
    """Where real scans are, if anywhere."""
    given = os.environ.get("SELFSCAN_DATA")
    return Path(given) if given and Path(given).is_dir() else None
