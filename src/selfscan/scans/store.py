"""Contract 1: a folder of prepared scans, from which any box of voxels is read in a millisecond.

`contract.json` says how scans became volumes, `scans.parquet` holds a row a scan (`ScanRecord`),
`rejected.parquet` a row for each input left out and why, `labels.json` the names of label values.
`volumes/ID.b2nd` is int16 (C, X, Y, Z) in RAS+; `foreground/ID.b2nd` and, where a scan is labelled,
`labels/ID.b2nd` are (X, Y, Z).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from selfscan.errors import SelfscanError
from selfscan.scans.columns import Columns
from selfscan.scans.containment import require_own_entries
from selfscan.scans.contract import PreprocessingContract
from selfscan.scans.fingerprint import SIZE, Fingerprints, fingerprint
from selfscan.scans.frames import damaged
from selfscan.scans.record import Kind, ScanRecord, Voxel
from selfscan.scans.scan_table import ScanTable
from selfscan.scans.volumes import VolumeFiles

__all__ = ["AIR", "ScanRecord", "Store", "outside"]

_KINDS: tuple[Kind, ...] = ("volumes", "foreground", "labels")
AIR = -1024  # what lies outside a CT, in Hounsfield units


def outside(hounsfield: Sequence[bool] | npt.NDArray[np.bool_]) -> npt.NDArray[np.int16]:
    """What lies around a stored volume, (C, 1, 1, 1): air around a CT, 0 around other channels."""
    return np.where(hounsfield, AIR, 0).astype(np.int16)[:, None, None, None]


class Store(ScanTable):
    """Prepared scans on disk, numbered from 0; cheap to copy to worker processes.

    Args:
        path: The folder that `prepare` wrote.

    Raises:
        SelfscanError: The folder is not a finished store, or leads out of itself.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if self.path.is_dir():
            require_own_entries(self.path)
        for name in ("contract.json", "scans.parquet"):
            if not (self.path / name).is_file():
                raise SelfscanError(
                    f"{self.path}: found no {name}; expected a finished store; "
                    "run `selfscan prepare`, with --resume where it was interrupted"
                )
        self.contract = PreprocessingContract.from_json(_read_json(self.path / "contract.json"))
        self.columns = Columns(self.path / "scans.parquet")
        names = self.path / "labels.json"
        named = _read_json(names) if names.exists() else {}
        try:
            self.label_names: dict[int, str] = {int(v): str(name) for v, name in named.items()}
        except (ValueError, AttributeError) as error:
            raise damaged(names, "other than names by whole numbers") from error
        self._files = VolumeFiles()

    def __getstate__(self) -> dict[str, Any]:
        """Open files and arrays stay behind; a worker reads its own."""
        return {
            name: self.__dict__[name] for name in ("path", "contract", "label_names", "columns")
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._files = VolumeFiles()

    def select(
        self,
        *,
        splits: Collection[str] | None = None,
        ids: Sequence[str] | None = None,
        labelled: bool | None = None,
        where: npt.NDArray[np.bool_] | None = None,
    ) -> Store:
        """The same store with fewer scans: those that meet every condition given.

        Args:
            splits: Keep scans of these splits.
            ids: Keep these scans, in this order.
            labelled: Keep scans with labels, or without.
            where: Keep scans for which it is true, shape (scans,).

        Raises:
            SelfscanError: An id that is not here, or nothing is left.
        """
        rows = np.arange(len(self)) if ids is None else self._find_all(ids)
        wanted = [splits] if isinstance(splits, str) else splits
        keep = np.ones(len(self), dtype=bool) if where is None else where
        if wanted is not None:
            keep = keep & self.in_splits(wanted)
        if labelled is not None:
            keep = keep & (self.labelled == labelled)
        rows = rows[keep[rows]]
        if not len(rows):
            asked = {"splits": wanted and sorted(wanted), "ids": ids, "labelled": labelled}
            shown = ", ".join(
                f"{name} {value}" for name, value in asked.items() if value is not None
            )
            raise SelfscanError(
                f"{self.path}: found no scan with {shown} among {len(self)}; its splits are "
                f"{', '.join(self.splits) or 'not set'}, {self.labelled.sum()} have labels"
            )
        chosen = type(self).__new__(type(self))
        chosen.__setstate__(self.__getstate__() | {"columns": self.columns.take(rows)})
        return chosen

    def digest(self) -> str:
        """A digest of which scans these are, and of each voxel of their volumes."""
        lines = pc.binary_join_element_wise(self._ids, self.columns["volume_digest"], " ")
        return hashlib.sha256("\n".join(lines.to_pylist()).encode()).hexdigest()

    def file(self, kind: Kind, i: int) -> Path:
        """Where the voxels of scan i lie."""
        return self.path / kind / f"{self._ids[i]}.b2nd"

    def read(
        self, i: int, start: Voxel | None = None, size: Voxel | None = None
    ) -> npt.NDArray[np.int16]:
        """A box of scan i, shape (C, *size); the whole volume by default.

        The box may stick out: there a CT is air and any other channel 0.

        Raises:
            ScanError: The volume's file is missing or damaged.
        """
        around = outside(self.hounsfield[i])
        return self._read("volumes", i, start, size, around)

    def fingerprint(self, i: int) -> tuple[int, ...]:
        """What tells scan i again, 124 numbers; computed where the index lacks it."""
        record = self[i]
        if len(record.fingerprint) == SIZE:
            return record.fingerprint
        return fingerprint(self.read(i), record.hounsfield)

    def fingerprints(self) -> Fingerprints:
        """What tells the scans again, shape (scans, 124)."""
        if "fingerprint" in self.columns.names:
            column = self.columns["fingerprint"]
            if pc.all(pc.equal(pc.list_value_length(column), SIZE)).as_py():
                return np.asarray(column.flatten()).reshape(-1, SIZE)
        return np.array([self.fingerprint(i) for i in range(len(self))], dtype=np.int8)

    def read_foreground(
        self, i: int, start: Voxel | None = None, size: Voxel | None = None
    ) -> npt.NDArray[np.bool_]:
        """Whether each voxel of a box of scan i lies in the body, shape `size`; outside: no."""
        return self._read("foreground", i, start, size, False)

    def read_labels(
        self, i: int, start: Voxel | None = None, size: Voxel | None = None
    ) -> npt.NDArray[Any]:
        """The labels of a box of scan i, shape `size`, uint8 or int16; outside: 0.

        Raises:
            ScanError: The scan has no labels, or their file is damaged.
        """
        return self._read("labels", i, start, size, 0)

    def _read(
        self, kind: Kind, i: int, start: Voxel | None, size: Voxel | None, outside: Any
    ) -> npt.NDArray[Any]:
        lengths = [] if self._lengths is None else self._lengths[i].as_py() or []
        number = _KINDS.index(kind)
        length = lengths[number] if number < len(lengths) else None
        return self._files.read(self.file(kind, i), start, size, outside, length=length)

    @cached_property
    def _lengths(self) -> pa.Array | None:
        """Bytes of the files of each scan; None in stores of earlier versions."""
        return self.columns["file_lengths"] if "file_lengths" in self.columns.names else None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise damaged(path, f"no readable JSON ({error})") from error
    return content
