"""Visual words: a table of boxes that show the same anatomy in many patients, and how it was made.

One Parquet file, `words.parquet`: a row for each word and member, never the voxels themselves.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from selfscan.errors import ContractError, ScanError, SelfscanError
from selfscan.files import written_atomically
from selfscan.scans.filled import require_filled
from selfscan.scans.record import ScanRecord, Voxel
from selfscan.scans.store import Store

Frame = Literal["voxel", "body"]
Side = Literal["training", "validation"]
FILE = "words.parquet"
FORMAT = 1
_KEY = b"selfscan.words"
_VOXEL = pa.list_(pa.int32(), 3)
_SCHEMA = pa.schema(
    [
        ("word", pa.int32()),
        ("split", pa.string()),
        ("scan", pa.string()),
        ("volume_digest", pa.string()),
        ("rank", pa.int32()),
        ("distance", pa.float64()),
        ("start", _VOXEL),
        ("extent", _VOXEL),
        ("jitter_starts", pa.list_(_VOXEL)),
        ("jitter_extents", pa.list_(_VOXEL)),
    ]
)


@dataclass(frozen=True)
class Box:
    """A box of a scan.

    Attributes:
        start: First voxel along (X, Y, Z).
        extent: Voxels along (X, Y, Z); a crop of the words' size is resized from them.
    """

    start: Voxel
    extent: Voxel


@dataclass(frozen=True)
class Member:
    """One patient's instance of a word.

    Attributes:
        word: The word's number, from 0: the label to learn.
        split: Whether it is to learn from or to validate on.
        scan: The scan's id in the store.
        volume_digest: Of the scan's voxels when the word was found.
        rank: 0 is the reference of the word; the nearer to it, the lower.
        distance: Between the embeddings of this scan and of the reference.
        box: The instance as it was found.
        jitter: The same place, shifted and scaled a little, each drawn once.
    """

    word: int
    split: Side
    scan: str
    volume_digest: str
    rank: int
    distance: float
    box: Box
    jitter: tuple[Box, ...] = ()


@dataclass(frozen=True)
class WordOrigin:
    """Where a word comes from.

    Attributes:
        reference: Id of the scan in which its place was drawn.
        place: In the frame of the words: the first voxel along (X, Y, Z), or where the middle of
            the cube lies in the box around the body, from 0 to 1.
        passed_training: Nearer scans that could not hold every box, or were of a patient who has a
            member already.
        passed_validation: The same of the validation scans.
    """

    reference: str
    place: tuple[float, float, float]
    passed_training: int = 0
    passed_validation: int = 0


@dataclass(frozen=True)
class WordsHeader:
    """How words were found.

    Attributes:
        size: Voxels of a cube along (X, Y, Z).
        frame: Whether the same place is the same `voxel`, or the same fraction of the `body`.
        spacing: Of the store; None where each scan keeps its own.
        contract: Digest of how the store was prepared.
        store: Digest of the scans that words were looked for in.
        origins: Where each word comes from, by its number.
        constants: Every constant of the search by name, as JSON values.
        counts: How many scans, patients and references were used, failed and left out, by name.
        seed: Of all that was drawn.
        embedder: SHA-256 of the weights that the scans were embedded by.
        version: Of selfscan.
    """

    size: Voxel
    frame: Frame
    spacing: tuple[float, float, float] | None
    contract: str
    store: str
    origins: tuple[WordOrigin, ...]
    constants: Mapping[str, Any] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    seed: int = 0
    embedder: str = ""
    version: str = ""

    def __post_init__(self) -> None:
        """Refuse values without a meaning."""
        if len(self.size) != 3 or min(self.size) < 1:
            raise ValueError(f"size must be three lengths of 1 voxel or more, got {self.size}")
        if self.frame not in get_args(Frame):
            raise ValueError(f"frame must be one of {get_args(Frame)}, got {self.frame!r}")


@dataclass(frozen=True)
class Words:
    """All words of a store.

    Attributes:
        header: How they were found.
        members: Word by word; in a word the training members by rank, then the validation members.
    """

    header: WordsHeader
    members: tuple[Member, ...]

    def __len__(self) -> int:
        """The number of words."""
        return len(self.header.origins)

    def of(self, word: int, split: Side) -> tuple[Member, ...]:
        """The members of a word, by rank."""
        return tuple(m for m in self.members if m.word == word and m.split == split)

    def within(self, store: Store) -> Words:
        """The same words with the members alone whose scans a store has.

        Raises:
            SelfscanError: There is no such member.
        """
        known = set(store.ids)
        members = tuple(member for member in self.members if member.scan in known)
        if not members:
            raise SelfscanError(
                f"{store.path}: found none of the {len(self._scans)} scans of these words among "
                f"{len(store)}; expected scans that words were discovered in, such as "
                f"{', '.join(sorted(self._scans)[:3])}; give the store that they came from"
            )
        return Words(self.header, members)

    def check(self, store: Store) -> None:
        """Refuse a store in which these boxes do not mean what they meant when words were found.

        Raises:
            ContractError: It has another spacing, or was prepared another way.
            SelfscanError: It lacks a scan, or a box does not lie inside its scan.
        """
        header = self.header
        if header.spacing != store.contract.spacing:
            raise ContractError(
                f"{store.path}: found the spacing {store.contract.spacing}; expected "
                f"{header.spacing}, on which these words were discovered; give the store that "
                "they came from, or discover words in this one"
            )
        if header.contract != store.contract.digest():
            raise ContractError(
                f"{store.path}: found another preprocessing, digest {store.contract.digest()}; "
                f"expected {header.contract}, with which these words were discovered; give the "
                "store that they came from, or discover words in this one"
            )
        for member in self.members:
            record = store[store.find(member.scan)]
            if record.volume_digest != member.volume_digest:
                raise ScanError(
                    f"{store.path}: scan {member.scan}",
                    found=f"voxels with digest {record.volume_digest[:16]}",
                    expected=f"{member.volume_digest[:16]}, as when words were discovered",
                    remedy="discover words again",
                )
            _require_inside(member, record, store)

    @property
    def _scans(self) -> frozenset[str]:
        return frozenset(member.scan for member in self.members)

    def write(self, path: Path | str) -> Path:
        """Write the file, or `words.parquet` in a folder; equal words give equal bytes."""
        file = Path(path) if Path(path).suffix == ".parquet" else Path(path) / FILE
        header = json.dumps({"format": FORMAT, **asdict(self.header)})
        schema = _SCHEMA.with_metadata({_KEY: header.encode()})
        table = pa.Table.from_pylist([_to_row(member) for member in self.members], schema=schema)
        with written_atomically(file) as temporary:
            pq.write_table(table, temporary)
        return file

    @classmethod
    def read(cls, path: Path | str) -> Words:
        """Read the file, or that of a folder.

        Raises:
            SelfscanError: There is none, it is damaged, or another version wrote it.
        """
        file = Path(path) / FILE if Path(path).is_dir() else Path(path)
        if not file.is_file():
            raise SelfscanError(
                f"{file}: found nothing; expected the words of `selfscan discover`: its folder, "
                f"or the {FILE} in it"
            )
        try:
            table = pq.read_table(file)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise SelfscanError(
                f"{file}: found no readable Parquet file ({error}); expected the words of "
                "`selfscan discover`; copy it again, or discover words again"
            ) from error
        described = (table.schema.metadata or {}).get(_KEY)
        if described is None:
            raise SelfscanError(
                f"{file}: found a Parquet file that holds no words; expected the {FILE} of "
                "`selfscan discover`"
            )
        try:
            return cls._from_table(file, table, json.loads(described))
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise SelfscanError(
                f"{file}: found words in disorder ({error}); expected the {FILE} of `selfscan "
                "discover`; copy it again, or discover words again"
            ) from error

    @classmethod
    def _from_table(cls, file: Path, table: pa.Table, header: dict[str, Any]) -> Words:
        if header.pop("format", None) != FORMAT or not table.schema.equals(_SCHEMA):
            raise SelfscanError(
                f"{file}: found words of another format, by selfscan "
                f"{header.get('version') or 'of an unknown version'}; expected format {FORMAT}; "
                "use the version that wrote it, or discover words again"
            )
        known = {item.name for item in fields(WordsHeader)}
        if set(header) != known:
            raise SelfscanError(
                f"{file}: found a header with {sorted(header)}; expected {sorted(known)}; "
                "discover words again"
            )
        require_filled(file, table)
        origins = [
            WordOrigin(**origin | {"place": tuple(origin["place"])}) for origin in header["origins"]
        ]
        spacing = header["spacing"] and tuple(header["spacing"])
        settled = {"size": tuple(header["size"]), "spacing": spacing, "origins": tuple(origins)}
        return cls(
            WordsHeader(**header | settled), tuple(_from_row(row) for row in table.to_pylist())
        )


def _require_inside(member: Member, record: ScanRecord, store: Store) -> None:
    for box in (member.box, *member.jitter):
        sides = zip(box.start, box.extent, record.shape, strict=True)
        if any(start < 0 or extent < 1 or start + extent > n for start, extent, n in sides):
            raise ScanError(
                f"{store.path}: scan {member.scan}",
                found=f"a box of word {member.word} at {box.start} of {box.extent} voxels",
                expected=f"it inside the {record.shape} voxels of the scan",
                remedy="discover words again",
            )


def _to_row(member: Member) -> dict[str, Any]:
    row = {name: getattr(member, name) for name in _SCHEMA.names if hasattr(member, name)}
    return row | {
        "start": member.box.start,
        "extent": member.box.extent,
        "jitter_starts": [box.start for box in member.jitter],
        "jitter_extents": [box.extent for box in member.jitter],
    }


def _from_row(row: Mapping[str, Any]) -> Member:
    plain = ("word", "split", "scan", "volume_digest", "rank", "distance")
    pairs = zip(row["jitter_starts"], row["jitter_extents"], strict=True)
    return Member(
        **{name: row[name] for name in plain},
        box=Box(tuple(row["start"]), tuple(row["extent"])),
        jitter=tuple(Box(tuple(start), tuple(extent)) for start, extent in pairs),
    )
