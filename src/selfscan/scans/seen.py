"""What a pre-training run saw, in a small file beside its checkpoints: to find leaked test cases.

`seen.parquet` holds a row a scan: the digest of its voxels, the salted digest of its patient and
its fingerprint, about 200 bytes and no name. Patients of two stores can only be told to be the same
where the stores share their salt.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from selfscan.errors import SelfscanError
from selfscan.files import written_atomically
from selfscan.scans.filled import require_filled
from selfscan.scans.fingerprint import NEAR, SIZE, Fingerprints, nearest
from selfscan.scans.store import Store

FILE = "seen.parquet"
_SCHEMA = pa.schema(
    [
        ("source_digest", pa.string()),
        ("volume_digest", pa.string()),
        ("subject", pa.string()),
        ("salt", pa.string()),
        ("fingerprint", pa.list_(pa.int8(), SIZE)),
    ]
)


@dataclass(frozen=True)
class Leak:
    """A scan that a pre-training run saw, or one of the same patient.

    Attributes:
        case: The id of the scan asked about.
        why: In words.
    """

    case: str
    why: str


@dataclass(frozen=True)
class Seen:
    """The scans that one or more runs or stores hold, N of them.

    Attributes:
        table: A row each, as the file has it.
    """

    table: pa.Table

    @classmethod
    def of(cls, *stores: Store) -> Seen:
        """All scans of stores; fingerprints that the index lacks are computed."""
        return cls(pa.concat_tables([_rows_of(store) for store in stores]))

    @classmethod
    def read(cls, folder: Path) -> Seen | None:
        """What the file in a run folder says; None where there is none."""
        file = folder / FILE
        if not file.is_file():
            return None
        try:
            table = pq.read_table(file).select(_SCHEMA.names).cast(_SCHEMA)
            require_filled(file, table)
            return cls(table)
        except (pa.ArrowException, OSError, KeyError, ValueError) as error:
            raise SelfscanError(
                f"{file}: found a damaged table of scans ({str(error).splitlines()[0]}); expected "
                "the one that pre-training wrote; copy it again, or delete it and name the stores "
                "by --pretraining_stores"
            ) from error

    @cached_property
    def content(self) -> frozenset[str]:
        """Digests of their voxels, as they were read and as they are stored."""
        columns = (self.table[name].to_pylist() for name in ("source_digest", "volume_digest"))
        return frozenset().union(*columns)

    @cached_property
    def subjects(self) -> frozenset[tuple[str, str]]:
        """Digests of their patients, each with that of its salt."""
        columns = (self.table[name].to_pylist() for name in ("subject", "salt"))
        return frozenset(zip(*columns, strict=True))

    @cached_property
    def fingerprints(self) -> Fingerprints:
        """Shape (N, 124)."""
        flat = self.table["fingerprint"].combine_chunks().flatten()
        return np.asarray(flat, dtype=np.int8).reshape(-1, SIZE)

    def with_(self, others: Sequence[Seen]) -> Seen:
        """These scans and those of others."""
        return Seen(pa.concat_tables([self.table, *(other.table for other in others)]))

    def write(self, folder: Path) -> None:
        """Write the file into a run folder."""
        with written_atomically(folder / FILE) as temporary:
            pq.write_table(self.table, temporary)

    def leaks(self, store: Store) -> list[Leak]:
        """The scans of a store that are among these: by content, by likeness or by patient."""
        salt = salt_digest(store)
        prints = store.fingerprints()
        _, distances = nearest(prints, self.fingerprints)
        found = []
        for record, distance in zip(store, distances, strict=True):
            if {record.source_digest, record.volume_digest} & self.content:
                found.append(Leak(record.id, "the same voxels"))
            elif distance < NEAR:
                found.append(Leak(record.id, f"nearly the same image (distance {distance:.4f})"))
            elif (record.subject, salt) in self.subjects:
                found.append(Leak(record.id, "another scan of the same patient"))
        return found


def _rows_of(store: Store) -> pa.Table:
    flat = pa.array(store.fingerprints().ravel())
    return pa.table(
        [
            *(store.columns[name] for name in _SCHEMA.names[:3]),
            pa.repeat(salt_digest(store), len(store)),
            pa.FixedSizeListArray.from_arrays(flat, SIZE),
        ],
        schema=_SCHEMA,
    )


def salt_digest(store: Store) -> str:
    """Tells whether digests of patients were salted alike; without a salt, the store's own path.

    The salt stays behind where a store is passed on.
    """
    salt = store.path / "salt.txt"
    text = salt.read_text() if salt.exists() else str(store.path.resolve())
    return hashlib.sha256(f"salt {text}".encode()).hexdigest()[:16]
