"""What the index of a store says of its scans: a column of all, or a record of one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from selfscan.errors import SelfscanError
from selfscan.scans.columns import ROWS, Columns
from selfscan.scans.containment import require_names
from selfscan.scans.limits import require_shapes
from selfscan.scans.record import ScanRecord, Voxel


class ScanTable:
    """Scans, numbered from 0, as their index describes them.

    What drawing crops needs of all scans lies in arrays, a column each; a `ScanRecord` is put
    together for those scans that are asked for one by one.

    Attributes:
        columns: The rows of the index.
    """

    columns: Columns

    def __len__(self) -> int:
        return len(self.columns)

    def __getitem__(self, i: int) -> ScanRecord:
        if not 0 <= i < len(self):
            raise IndexError(f"scan {i} of a store of {len(self)}")
        return self._records(i, i + 1)[0]

    def __iter__(self) -> Iterator[ScanRecord]:
        for start in range(0, len(self), ROWS):
            yield from self._records(start, min(start + ROWS, len(self)))

    def _records(self, start: int, past: int) -> list[ScanRecord]:
        rows = self.columns.rows(start, past)
        require_names(self.columns.path, rows["id"].combine_chunks())
        return [ScanRecord.from_row(row) for row in rows.to_pylist()]

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The id of each scan."""
        return tuple(self._ids.to_pylist())

    @cached_property
    def subjects(self) -> tuple[str, ...]:
        """The digest of each scan's patient."""
        return tuple(self.columns["subject"].to_pylist())

    @cached_property
    def patients(self) -> npt.NDArray[np.int64]:
        """The number of each scan's patient in the order of their digests, shape (scans,)."""
        digests = self.columns["subject"].dictionary_encode()
        rank = np.empty(len(digests.dictionary), dtype=np.int64)
        rank[np.asarray(pc.array_sort_indices(digests.dictionary))] = np.arange(len(rank))
        numbers: npt.NDArray[np.int64] = rank[np.asarray(digests.indices)]
        return numbers

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits that these scans are in, sorted."""
        return tuple(sorted(set(self.columns["split"].unique().to_pylist()) - {None}))

    def in_splits(self, names: Collection[str]) -> npt.NDArray[np.bool_]:
        """Whether each scan is in one of these splits, shape (scans,)."""
        found = pc.is_in(self.columns["split"], pa.array(list(names), pa.string()))
        return np.asarray(found, dtype=bool)

    @cached_property
    def near_duplicate_groups(self) -> tuple[str, ...]:
        """For each scan the id of the first of its near-duplicates, its own where it repeats none.

        That one may not be among these scans.
        """
        if "near_duplicate_of" not in self.columns.names:
            return self.ids
        firsts = self.columns["near_duplicate_of"]
        return tuple(pc.coalesce(firsts, self._ids).to_pylist())

    def near_duplicates_of(self, scans: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Whether each scan nearly repeats one of the scans that are true, shape (scans,)."""
        if "near_duplicate_of" not in self.columns.names:
            return np.zeros(len(self), dtype=bool)
        found = pc.is_in(self.columns["near_duplicate_of"], self._ids.filter(pa.array(scans)))
        return np.asarray(found, dtype=bool)

    @cached_property
    def shapes(self) -> npt.NDArray[np.int64]:
        """Voxels of each scan along (X, Y, Z), shape (scans, 3)."""
        flat = self.columns["shape"].flatten()
        return require_shapes(self.columns.path, np.asarray(flat, dtype=np.int64).reshape(-1, 3))

    @cached_property
    def foreground_boxes(self) -> npt.NDArray[np.int64]:
        """The box around each scan's body, its first voxel and one past its last, (scans, 2, 3)."""
        flat = self.columns["foreground_box"].flatten().flatten()
        return np.asarray(flat, dtype=np.int64).reshape(-1, 2, 3)

    @cached_property
    def labelled(self) -> npt.NDArray[np.bool_]:
        """Whether each scan has labels, shape (scans,)."""
        return np.asarray(self.columns["labelled"], dtype=bool)

    @cached_property
    def hounsfield(self) -> npt.NDArray[np.bool_]:
        """Whether each channel of each scan holds Hounsfield units, shape (scans, C)."""
        modalities = self.columns["modality"]
        fewest, most = pc.min_max(pc.list_value_length(modalities)).as_py().values()
        if fewest != most or not most:
            raise SelfscanError(
                f"{self.columns.path}: found scans of {fewest} to {most} channels; expected as "
                "many in each; run `selfscan prepare --resume`, or copy the index again"
            )
        is_ct = pc.equal(modalities.flatten(), "ct")
        return np.asarray(is_ct, dtype=bool).reshape(len(self), -1)

    def shape(self, i: int) -> Voxel:
        """Voxels of scan i along (X, Y, Z)."""
        x, y, z = self.shapes[i].tolist()
        return x, y, z

    def foreground_box(self, i: int) -> tuple[Voxel, Voxel]:
        """The box around the body of scan i: its first voxel, and one past its last."""
        (x, y, z), (i_past, j_past, k_past) = self.foreground_boxes[i].tolist()
        return (x, y, z), (i_past, j_past, k_past)

    @property
    def channels(self) -> int:
        """The channels of every scan."""
        return int(self.hounsfield.shape[1])

    @cached_property
    def _ids(self) -> pa.Array:
        ids = self.columns["id"]
        require_names(self.columns.path, ids)
        return ids

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
                f"{self.columns.path.parent}: found no scan {id!r} among {len(self)}; expected an "
                f"id such as {', '.join(self.ids[:3])}"
            )
        return self._numbers[id]

    def _find_all(self, ids: Sequence[str]) -> npt.NDArray[np.int64]:
        """The numbers of the scans with these ids, in their order."""
        found = pc.index_in(pa.array(ids, pa.string()), self._ids)
        if found.null_count:
            self.find(ids[found.is_null().index(True).as_py()])
        return np.asarray(found, dtype=np.int64)
