"""The index of a store, by columns or by rows: what a run never asks for is never read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from selfscan.errors import SelfscanError
from selfscan.scans.filled import require_filled
from selfscan.scans.record import LATER, OPTIONAL, SCHEMA

ROWS = 4096  # written, and put together, at a time
_Rows = npt.NDArray[np.int64]


class Columns:
    """Rows of `scans.parquet`, all or some, in any order.

    Of the 0.8 gigabytes that a million scans take, crops are drawn from a tenth. The file stays
    open, so that an index written anew in its place does not mix with this one; a copy in another
    process reads its own, and refuses one that has changed.

    Args:
        path: The file.

    Raises:
        SelfscanError: It is no index of scans.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows: _Rows | None = None
        self._kept: tuple[tuple[int, ...], pa.Table] | None = None
        self._open()
        self._stamp = self._stamp_now()

    def __len__(self) -> int:
        return self._file.metadata.num_rows if self._rows is None else len(self._rows)

    def __getitem__(self, name: str) -> pa.Array:
        """One column, in one piece."""
        column = self.table(name)[name].combine_chunks()
        # Newer versions of pyarrow give an array where older ones give chunks.
        return column.chunk(0) if isinstance(column, pa.ChunkedArray) else column

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of the file; those that came later may lack."""
        return tuple(self._file.schema_arrow.names)

    def table(self, *names: str) -> pa.Table:
        """Some columns, all where none is named; read from the file each time.

        Raises:
            SelfscanError: The file is damaged, or lacks values.
        """
        if self._rows is not None:
            return self._taken(self._rows, names)
        with self._damage_named():
            read = self._file.read(columns=list(names) or None, use_threads=False)
            _require_rows(read, len(self))
        require_filled(self.path, read, but=OPTIONAL)
        return read

    def rows(self, start: int, past: int) -> pa.Table:
        """Some rows, with all columns.

        Raises:
            SelfscanError: The file is damaged, or lacks values.
        """
        some = np.arange(start, past) if self._rows is None else self._rows[start:past]
        return self._taken(some, ())

    def _taken(self, rows: _Rows, names: tuple[str, ...]) -> pa.Table:
        """Rows of the file, from those of its groups that hold them."""
        group_of = np.searchsorted(self._ends, rows, side="right")
        groups = np.unique(group_of)
        # Where each group begins in what is read, against where it does in the file.
        lengths = np.diff(self._ends, prepend=0)[groups]
        moved = np.cumsum(lengths) - self._ends[groups]
        at = rows + moved[np.searchsorted(groups, group_of)]
        with self._damage_named():
            taken = self._groups(tuple(groups.tolist()), names).take(pa.array(at))
        require_filled(self.path, taken, but=OPTIONAL)
        return taken

    def _groups(self, groups: tuple[int, ...], names: tuple[str, ...]) -> pa.Table:
        """Groups of rows; whole rows are kept until others are read, as neighbors follow."""
        if names or self._kept is None or self._kept[0] != groups:
            read = self._file.read_row_groups(groups, list(names) or None, use_threads=False)
            _require_rows(read, sum(self._file.metadata.row_group(i).num_rows for i in groups))
            if names:
                return read
            self._kept = groups, read
        return self._kept[1]

    def take(self, rows: _Rows) -> Columns:
        """The same columns with these rows alone, in this order."""
        chosen = Columns.__new__(Columns)
        chosen.__dict__.update(self.__dict__)
        chosen._rows = rows if self._rows is None else self._rows[rows]
        return chosen

    def __getstate__(self) -> dict[str, Any]:
        """The open file and what was read stay behind; a worker opens its own."""
        return {
            name: value
            for name, value in self.__dict__.items()
            if name not in ("_file", "_ends", "_kept")
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._kept = None
        self._open()
        if self._stamp_now() != self._stamp:
            raise SelfscanError(
                f"{self.path}: found another index than the one this run began with; expected it "
                "to stay while workers start; run again, and `selfscan prepare` before or after"
            )

    def _open(self) -> None:
        with self._damage_named():
            self._file = pq.ParquetFile(self.path, page_checksum_verification=True)
            found, groups = self._file.schema_arrow, self._file.metadata
            lengths = [groups.row_group(i).num_rows for i in range(groups.num_row_groups)]
            self._ends = np.cumsum(lengths, dtype=np.int64)
            if sum(lengths) != groups.num_rows:
                raise pa.ArrowInvalid(f"{sum(lengths)} rows where it states {groups.num_rows}")
        for field in SCHEMA:
            at = found.get_field_index(field.name)
            if at < 0 and field.name in LATER:
                continue
            kind = found.field(at).type if at >= 0 else "nothing"
            if kind != field.type:
                raise SelfscanError(
                    f"{self.path}: found {kind} as the column {field.name}; expected {field.type}, "
                    "as `selfscan prepare` writes it; prepare the store again"
                )

    def _stamp_now(self) -> tuple[int, int]:
        status = self.path.stat()
        return status.st_size, status.st_mtime_ns

    @contextmanager
    def _damage_named(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise SelfscanError(
                f"{self.path}: found a damaged index ({str(error).splitlines()[0]}); expected the "
                "Parquet file that prepare wrote; run `selfscan prepare --resume`, or copy it again"
            ) from error


def _require_rows(read: pa.Table, stated: int) -> None:
    if read.num_rows != stated:
        raise pa.ArrowInvalid(f"{read.num_rows} rows where it states {stated}")
