"""The index of a store, a column at a time: what a run never asks for is never read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from selfscan.errors import SelfscanError
from selfscan.scans.filled import require_filled
from selfscan.scans.record import LATER, OPTIONAL, SCHEMA

_Rows = npt.NDArray[np.int64]


class Columns:
    """Rows of `scans.parquet`, all or some, in any order.

    Of the half gigabyte that a million scans take, crops are drawn from a tenth. The file stays
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
        try:
            read = self._file.read(columns=list(names) or None, use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from error
        require_filled(self.path, read, but=OPTIONAL)
        return read if self._rows is None else read.take(pa.array(self._rows))

    def take(self, rows: _Rows) -> Columns:
        """The same columns with these rows alone, in this order."""
        chosen = Columns.__new__(Columns)
        chosen.__dict__.update(self.__dict__)
        chosen._rows = rows if self._rows is None else self._rows[rows]
        return chosen

    def __getstate__(self) -> dict[str, Any]:
        """The open file stays behind; a worker opens its own."""
        return {name: value for name, value in self.__dict__.items() if name != "_file"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()
        if self._stamp_now() != self._stamp:
            raise SelfscanError(
                f"{self.path}: found another index than the one this run began with; expected it "
                "to stay while workers start; run again, and `selfscan prepare` before or after"
            )

    def _open(self) -> None:
        try:
            self._file = pq.ParquetFile(self.path, page_checksum_verification=True)
            found = self._file.schema_arrow
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise self._damaged(error) from error
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

    def _damaged(self, error: Exception) -> SelfscanError:
        return SelfscanError(
            f"{self.path}: found a damaged index ({str(error).splitlines()[0]}); expected the "
            "Parquet file that prepare wrote; run `selfscan prepare --resume`, or copy it again"
        )
