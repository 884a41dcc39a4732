"""Notes of a store in the making: what became of each source, so that no run does it twice."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from selfscan.files import written_atomically
from selfscan.scans.containment import require_names, require_own
from selfscan.scans.contract import PreprocessingContract
from selfscan.scans.inputs.sources import Source, Unusable
from selfscan.scans.preparation.geometry import LabelResampling
from selfscan.scans.record import ScanRecord
from selfscan.scans.scan import Modality


@dataclass(frozen=True)
class Settings:
    """What is the same for all sources of a store.

    Attributes:
        contract: How scans become volumes.
        label_resampling: How label maps get the spacing of the contract.
        label_values: The label values that have a name; empty allows any.
        modality: What all scans are; None takes headers and lists, and guesses the rest.
        salt: Mixed into digests of patients and paths.
    """

    contract: PreprocessingContract
    label_resampling: LabelResampling
    label_values: tuple[int, ...]
    modality: Modality | None
    salt: str

    def digest(self, text: str) -> str:
        """A salted digest, which tells nobody what the text was."""
        return hashlib.sha256(f"{self.salt}\n{text}".encode()).hexdigest()[:20]


@dataclass(frozen=True)
class Note:
    """What became of one source.

    Attributes:
        stamp: Digest of the files' sizes and times and of the settings: equal means done already.
        records: The scans that are in the store.
        label_values: The label values found in them.
        unusable: What was left out.
    """

    stamp: str
    records: tuple[ScanRecord, ...]
    label_values: tuple[int, ...] = ()
    unusable: tuple[Unusable, ...] = ()

    def write(self, path: Path) -> None:
        """Write the note, without the paths of what was left out."""
        fields: dict[str, Any] = {
            "stamp": self.stamp,
            "records": [record.to_row() for record in self.records],
            "label_values": self.label_values,
            "complete": not self.unusable,
        }
        with written_atomically(path) as temporary:
            temporary.write_text(json.dumps({"digest": _digest(fields), **fields}))

    @classmethod
    def read(cls, path: Path) -> Note | None:
        """The note in a file, None if it is damaged; of what was left out no stamp matches.

        Raises:
            SelfscanError: It is none of the store's own, or names a scan out of the store.
        """
        require_own(path)
        try:
            fields = json.loads(path.read_text())
            if fields.pop("digest", _digest(fields)) != _digest(fields):
                return None
        except (ValueError, AttributeError, RecursionError):
            return None
        require_names(path, pa.array([row["id"] for row in fields["records"]], pa.string()))
        return cls(
            stamp=fields["stamp"] if fields["complete"] else "",
            records=tuple(map(ScanRecord.from_row, fields["records"])),
            label_values=tuple(fields["label_values"]),
        )


def note_path(out: Path, settings: Settings, source: Source) -> Path:
    """Where the note of a source lies."""
    key = settings.digest(str([path.resolve() for path in source.images]))
    return out / "records" / f"{key}.json"


def stamp_of(settings: Settings, source: Source) -> str:
    """Changes whenever the source, or how it is to be prepared, changes."""
    files = [*source.images, *([source.labels] if source.labels else [])]
    facts = [(str(path.resolve()), _file_facts(path)) for path in files]
    # Sources without a subject keep the stamp that earlier versions gave them.
    how = (
        asdict(settings),
        source.name,
        source.modality,
        *([source.subject] if source.subject else []),
    )
    return settings.digest(json.dumps([facts, how]))


def is_done(note: Note, out: Path, stamp: str) -> bool:
    """Whether a note is of these very files and settings, and its volumes are there."""
    return note.stamp == stamp and all(
        (out / kind / f"{record.id}.b2nd").is_file()
        for record in note.records
        for kind in record.kinds
    )


def _digest(fields: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def _file_facts(path: Path) -> list[tuple[str, int, int]]:
    """Name, size and time of a file, or of each file in a folder."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    stats = [(file.name, file.stat()) for file in files if file.is_file()]
    return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]
