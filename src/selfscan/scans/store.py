"""Contract 1: a folder of prepared scans, from which any box of voxels is read in a millisecond.

`contract.json` says how scans became volumes, `scans.parquet` holds a row a scan (`ScanRecord`),
`rejected.parquet` a row for each input left out and why, `labels.json` the names of label values.
`volumes/ID.b2nd` is int16 (C, X, Y, Z) in RAS+; `foreground/ID.b2nd` and, where a scan is labelled,
`labels/ID.b2nd` are (X, Y, Z).
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from selfscan.errors import SelfscanError
from selfscan.scans.contract import PreprocessingContract
from selfscan.scans.fingerprint import fingerprint
from selfscan.scans.record import ScanRecord, Voxel
from selfscan.scans.volumes import VolumeFiles

__all__ = ["AIR", "ScanRecord", "Store", "outside"]

AIR = -1024  # what lies outside a CT, in Hounsfield units
_RECORDS = 4096


def outside(hounsfield: Sequence[bool]) -> npt.NDArray[np.int16]:
    """What lies around a stored volume, (C, 1, 1, 1): air around a CT, 0 around other channels."""
    return np.where(hounsfield, AIR, 0).astype(np.int16)[:, None, None, None]


class Store:
    """Prepared scans on disk, numbered from 0; cheap to copy to worker processes.

    Args:
        path: The folder that `prepare` wrote.

    Raises:
        SelfscanError: The folder is not a finished store.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        for name in ("contract.json", "scans.parquet"):
            if not (self.path / name).is_file():
                raise SelfscanError(
                    f"{self.path}: found no {name}; expected a finished store; "
                    "run `selfscan prepare`, with --resume where it was interrupted"
                )
        fields = json.loads((self.path / "contract.json").read_text())
        self.contract = PreprocessingContract.from_json(fields)
        self._table: pa.Table = pq.read_table(self.path / "scans.parquet")
        names = self.path / "labels.json"
        named = json.loads(names.read_text()) if names.exists() else {}
        self.label_names: dict[int, str] = {int(value): name for value, name in named.items()}
        self._forget()

    def __len__(self) -> int:
        return len(self._table)

    def __getitem__(self, i: int) -> ScanRecord:
        if not 0 <= i < len(self):
            raise IndexError(f"scan {i} of a store of {len(self)}")
        if i not in self._records:
            if len(self._records) >= _RECORDS:
                self._records.popitem(last=False)
            self._records[i] = ScanRecord.from_row(self._table.slice(i, 1).to_pylist()[0])
        return self._records[i]

    def __iter__(self) -> Iterator[ScanRecord]:
        return (self[i] for i in range(len(self)))

    def __getstate__(self) -> dict[str, Any]:
        """Open files stay behind; a worker opens its own."""
        kept = ("path", "contract", "label_names", "_table")
        return {name: self.__dict__[name] for name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def _forget(self) -> None:
        self._records: OrderedDict[int, ScanRecord] = OrderedDict()
        self._files = VolumeFiles()

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The id of each scan."""
        return tuple(self._table["id"].to_pylist())

    @cached_property
    def subjects(self) -> tuple[str, ...]:
        """The digest of each scan's patient."""
        return tuple(self._table["subject"].to_pylist())

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits that these scans are in, sorted."""
        return tuple(sorted(set(self._table["split"].to_pylist()) - {None}))

    @cached_property
    def shapes(self) -> npt.NDArray[np.int64]:
        """Voxels of each scan along (X, Y, Z), shape (scans, 3)."""
        flat = self._table["shape"].combine_chunks().flatten()
        return np.asarray(flat, dtype=np.int64).reshape(-1, 3)

    @cached_property
    def labelled(self) -> npt.NDArray[np.bool_]:
        """Whether each scan has labels, shape (scans,)."""
        return np.asarray(self._table["labelled"].to_pylist(), dtype=bool)

    @cached_property
    def hounsfield(self) -> npt.NDArray[np.bool_]:
        """Whether each channel of each scan holds Hounsfield units, shape (scans, C)."""
        flat = self._table["modality"].combine_chunks().flatten().to_pylist()
        return np.array([name == "ct" for name in flat]).reshape(len(self), -1)

    @property
    def channels(self) -> int:
        """The channels of every scan."""
        return self[0].channels

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {id: i for i, id in enumerate(self.ids)}

    def find(self, id: str) -> int:
        """The number of the scan with this id.

        Raises:
            SelfscanError: There is none.
        """
        if id not in self._numbers:
            raise SelfscanError(
                f"{self.path}: found no scan {id!r} among {len(self)}; expected an id such as "
                f"{', '.join(self.ids[:3])}"
            )
        return self._numbers[id]

    def select(
        self,
        *,
        splits: Collection[str] | None = None,
        ids: Sequence[str] | None = None,
        labelled: bool | None = None,
    ) -> Store:
        """The same store with fewer scans: those that meet every condition given.

        Args:
            splits: Keep scans of these splits.
            ids: Keep these scans, in this order.
            labelled: Keep scans with labels, or without.

        Raises:
            SelfscanError: An id that is not here, or nothing is left.
        """
        rows = [self.find(id) for id in ids] if ids is not None else range(len(self))
        wanted = {splits} if isinstance(splits, str) else splits
        if wanted is not None:
            split_of = self._table["split"].to_pylist()
            rows = [row for row in rows if split_of[row] in wanted]
        if labelled is not None:
            rows = [row for row in rows if self.labelled[row] == labelled]
        if not rows:
            asked = {"splits": wanted and sorted(wanted), "ids": ids, "labelled": labelled}
            shown = ", ".join(
                f"{name} {value}" for name, value in asked.items() if value is not None
            )
            raise SelfscanError(
                f"{self.path}: found no scan with {shown} among {len(self)}; its splits are "
                f"{', '.join(self.splits) or 'not set'}, {self.labelled.sum()} have labels"
            )
        chosen = Store.__new__(Store)
        chosen.__setstate__(self.__getstate__() | {"_table": self._table.take(list(rows))})
        return chosen

    def digest(self) -> str:
        """A digest of which scans these are, and of each voxel of their volumes."""
        rows = zip(self.ids, self._table["volume_digest"].to_pylist(), strict=True)
        text = "\n".join(f"{id} {volume}" for id, volume in rows)
        return hashlib.sha256(text.encode()).hexdigest()

    def file(self, kind: Literal["volumes", "foreground", "labels"], i: int) -> Path:
        """Where the voxels of scan i lie."""
        return self.path / kind / f"{self[i].id}.b2nd"

    def read(
        self, i: int, start: Voxel | None = None, size: Voxel | None = None
    ) -> npt.NDArray[np.int16]:
        """A box of scan i, shape (C, *size); the whole volume by default.

        The box may stick out: there a CT is air and any other channel 0.

        Raises:
            ScanError: The volume's file is missing or damaged.
        """
        around = outside(self[i].hounsfield)
        return self._files.read(self.file("volumes", i), start, size, around)

    def fingerprint(self, i: int) -> tuple[int, ...]:
        """What tells scan i again, 124 numbers; computed where the index lacks it."""
        record = self[i]
        return record.fingerprint or fingerprint(self.read(i), record.hounsfield)

    def read_foreground(
        self, i: int, start: Voxel | None = None, size: Voxel | None = None
    ) -> npt.NDArray[np.bool_]:
        """Whether each voxel of a box of scan i lies in the body, shape `size`; outside: no."""
        return self._files.read(self.file("foreground", i), start, size, False)

    def read_labels(
        self, i: int, start: Voxel | None = None, size: Voxel | None = None
    ) -> npt.NDArray[Any]:
        """The labels of a box of scan i, shape `size`, uint8 or int16; outside: 0.

        Raises:
            ScanError: The scan has no labels, or their file is damaged.
        """
        return self._files.read(self.file("labels", i), start, size, 0)
