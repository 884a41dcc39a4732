"""The visual words that the authors of TransVW published, as cubes in NumPy files, into a store.

Every 50 words have files of their own: `train_data1_vwGen_ex_ref_fold1.0.npy`, the cubes as they
were found, float64 in [0, 1], (N, X, Y, Z); `train_data2_...` and `train_data3_...`, the same
jittered; `val_data1_...`; and a `train_label1_...` beside each, (N, 1). Rows are word by word,
nearest first.

Source: Haghighi et al., "Transferable Visual Words", IEEE TMI 2021; the files are under a license
of their own, for non-commercial research.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from selfscan.errors import ScanError, SelfscanError
from selfscan.files import claim_folder, written_atomically
from selfscan.scans.contract import PreprocessingContract
from selfscan.scans.index import write_index
from selfscan.scans.inputs.sources import Source
from selfscan.scans.preparation.ingest import store_scan
from selfscan.scans.preparation.notes import Settings
from selfscan.scans.record import ScanRecord, Voxel
from selfscan.scans.scan import Scan
from selfscan.scans.store import Store
from selfscan.scans.words import Box, Member, Side, WordOrigin, Words, WordsHeader

_FIRST = "train_data1_*.npy"
_NAMES: dict[Side, str] = {"training": "train", "validation": "val"}
_COPIES: dict[Side, tuple[int, ...]] = {"training": (1, 2, 3), "validation": (1,)}


@dataclass(frozen=True)
class _Instance:
    """All copies of one row of the files: the cube as found, then jittered."""

    label: int
    split: Side
    rank: int
    cubes: list[npt.NDArray[Any]]
    path: Path


def store_published_words(
    folder: Path | str, out: Path | str, *, words: int | None = None, overwrite: bool = False
) -> Words:
    """Write a store whose scans are the instances of words, and the table of their words beside it.

    A scan holds the copies of one instance, one behind the other along Z, in Hounsfield units: 1 is
    1,000 and 0 is -1,000. Where in which patient it lay is not published, nor how it is oriented.
    `pretrain OUT RUN --words OUT` learns from them.

    Args:
        folder: Where the `.npy` files are; words of all of them are taken together.
        out: The folder for the store and its `words.parquet`.
        words: The first so many words; None takes all.
        overwrite: Delete what `out` holds.

    Raises:
        SelfscanError: There are no such files, they do not fit together, or the folder is in use.
    """
    folder, out = Path(folder), Path(out)
    firsts = sorted(folder.glob(_FIRST))
    if not firsts:
        raise SelfscanError(
            f"{folder}: found no {_FIRST}; expected the published words of TransVW, such as "
            "train_data1_vwGen_ex_ref_fold1.0.npy with its labels and jittered copies"
        )
    size = _size_of(firsts[0])
    labels = sorted({label for first in firsts for label in _labels(first)})[:words]
    claim_folder(out, overwrite=overwrite)
    contract = PreprocessingContract()
    settings = Settings(contract, "nearest", (), "ct", "published words of TransVW")
    records: list[ScanRecord] = []
    members: list[Member] = []
    number_of = {label: number for number, label in enumerate(labels)}
    for instance in (row for first in firsts for row in _instances(first, size)):
        if instance.label not in number_of:
            continue
        word = number_of[instance.label]
        name = f"word-{word:03}-{instance.split}-{instance.rank:03}"
        records.append(_stored(name, instance, out, settings))
        boxes = [Box((0, 0, n * size[2]), size) for n in range(len(instance.cubes))]
        digest, rank = records[-1].volume_digest, instance.rank
        members.append(
            Member(
                word, instance.split, name, digest, rank, float(rank), boxes[0], tuple(boxes[1:])
            )
        )
    with written_atomically(out / "contract.json") as temporary:
        temporary.write_text(json.dumps(contract.to_json(), indent=2) + "\n")
    write_index(out, sorted(records, key=lambda record: record.id), [], {})
    members.sort(key=lambda member: (member.word, member.split, member.rank))
    references = [f"word-{word:03}-training-000" for word in range(len(labels))]
    header = WordsHeader(
        size=size,
        frame="voxel",
        spacing=contract.spacing,
        contract=contract.digest(),
        store=Store(out).digest(),
        origins=tuple(WordOrigin(reference, (0.0, 0.0, 0.0)) for reference in references),
        constants={"published": [first.name for first in firsts], "labels": labels},
        counts={"instances": len(members)},
    )
    found = Words(header, tuple(members))
    found.write(out)
    return found


def _stored(name: str, instance: _Instance, out: Path, settings: Settings) -> ScanRecord:
    values = np.concatenate(instance.cubes, axis=2)
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
        raise ScanError(
            instance.path,
            found=f"values from {values.min():g} to {values.max():g}",
            expected="0 to 1, for -1000 to 1000 HU",
            remedy="download the file again",
        )
    voxels = np.rint(values * 2000 - 1000).astype(np.int16)
    scan = Scan(voxels[None], np.eye(4), modality=("ct",), subject=name)
    source = Source(name, (instance.path,))
    return store_scan(name, scan, settings.contract.apply(scan), out, settings, source)


def _instances(first: Path, size: Voxel) -> Iterator[_Instance]:
    """The rows of all files of 50 words, those to learn from first."""
    for split, copies in _COPIES.items():
        path = _beside(first, split, "data", 1)
        labels = _labels(path)
        arrays = [_cubes(_beside(first, split, "data", copy), size, len(labels)) for copy in copies]
        ranks: Counter[int] = Counter()
        for row, label in enumerate(labels):
            cubes = [array[row] for array in arrays]
            yield _Instance(label, split, ranks[label], cubes, path)
            ranks[label] += 1


def _beside(first: Path, split: Side, kind: str, copy: int) -> Path:
    ending = first.name.removeprefix("train_data1_")
    return first.with_name(f"{_NAMES[split]}_{kind}{copy}_{ending}")


def _labels(data: Path) -> list[int]:
    """The label of each row of a data file, from the label file beside it."""
    path = data.with_name(data.name.replace("_data", "_label", 1))
    values = _array(path).ravel()
    if not len(values) or (values != np.rint(values)).any() or values.min() < 0:
        raise ScanError(
            path,
            found=f"{len(values)} labels that are not all whole numbers from 0 on",
            expected="the number of a word for each row",
            remedy="download the file again",
        )
    labels: list[int] = values.astype(np.int64).tolist()
    return labels


def _size_of(path: Path) -> Voxel:
    shape = _array(path).shape
    if len(shape) != 4:
        raise ScanError(
            path,
            found=f"an array of shape {shape}",
            expected="cubes, (N, X, Y, Z)",
            remedy="download the file again",
        )
    return shape[1], shape[2], shape[3]


def _cubes(path: Path, size: Voxel, rows: int) -> npt.NDArray[Any]:
    cubes = _array(path)
    if cubes.shape != (rows, *size):
        raise ScanError(
            path,
            found=f"an array of shape {cubes.shape}",
            expected=f"{(rows, *size)}: a cube for each label",
            remedy="take all files of one release",
        )
    return cubes


def _array(path: Path) -> npt.NDArray[Any]:
    """An array that stays on disk; no code in the file can run."""
    try:
        array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ScanError(
            path,
            found=f"no readable NumPy file ({error})",
            expected="one of the published words",
            remedy="download it, with all that belong to it",
        ) from error
    return array
