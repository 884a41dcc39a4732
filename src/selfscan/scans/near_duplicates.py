"""Scans that are nearly the image of another: one acquisition under two names, kernels or grids.

A scan is compared with all that come before it in the order of preference, in blocks, so that
memory stays bounded and nothing loops over pairs. Near fingerprints make a candidate, near details
a near-duplicate. Two visits of a patient, or two poses, are none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from selfscan.scans.fingerprint import NEAR, NEAR_DETAIL, unit
from selfscan.scans.record import ScanRecord

RESERVED = ("test", "validation")  # splits whose scans are to stay unseen, the first ones first
_REASON = "near-duplicate of "
_ROWS, _COLUMNS = 1024, 8192
_CANDIDATES = 16  # of a scan, the first in the order; more are copies of one another


def near_duplicates(records: Iterable[ScanRecord]) -> dict[str, str]:
    """For each scan that nearly repeats one before it, the id of the first scan of its group.

    The order of preference is: the split `test`, `validation`, all others; labelled ones first;
    then by id. So the copy of a test case is found beside it and never takes its place, whatever
    the order of the records. Scans without a fingerprint are compared with none, and where one of
    two scans lacks a detail, the fingerprints alone decide.
    """
    ordered = sorted((record for record in records if any(record.fingerprint)), key=preference)
    if not ordered:
        return {}
    prints = unit(np.array([record.fingerprint for record in ordered], dtype=np.int8))
    first = list(range(len(ordered)))
    for start in range(0, len(ordered), _ROWS):
        for row, earlier in _candidates(prints, start).items():
            same = (one for one in earlier if _same_detail(ordered[row], ordered[one]))
            first[row] = first[next(same, row)]
    return {ordered[row].id: ordered[one].id for row, one in enumerate(first) if one != row}


def marked(records: Iterable[ScanRecord], first_of: dict[str, str]) -> list[ScanRecord]:
    """The records with their near-duplicates named, and a warning that says where these are."""
    records = list(records)
    split_of = {record.id: record.split for record in records}
    return [
        replace(
            record,
            near_duplicate_of=first_of[record.id],
            warnings=(*record.warnings, _warning(record.split, split_of[first_of[record.id]])),
        )
        if record.id in first_of
        else record
        for record in records
    ]


def preference(record: ScanRecord) -> tuple[int, bool, str]:
    """Sorts the scans that a researcher would keep first to the front."""
    rank = {split: place for place, split in enumerate(RESERVED)}
    return rank.get(record.split or "", len(RESERVED)), not record.labelled, record.id


def reason_for(first: str) -> str:
    """Why a near-duplicate of this scan was left out."""
    return f"{_REASON}{first}; give --near_duplicates keep to keep both"


def named_in(reason: str) -> str | None:
    """The scan whose near-duplicate was left out, where that is the reason."""
    return reason.removeprefix(_REASON).split(";")[0] if reason.startswith(_REASON) else None


def _candidates(prints: npt.NDArray[np.float32], start: int) -> dict[int, list[int]]:
    """For the scans of one block of rows, the first few earlier scans of near fingerprints."""
    stop = min(start + _ROWS, len(prints))
    found: defaultdict[int, list[int]] = defaultdict(list)
    for left in range(0, stop, _COLUMNS):
        right = min(left + _COLUMNS, stop)
        rows, columns = np.nonzero(prints[start:stop] @ prints[left:right].T > 1 - NEAR)
        rows, columns = rows + start, columns + left
        is_earlier = columns < rows
        rows, columns = rows[is_earlier], columns[is_earlier]
        for row, begin in zip(*np.unique(rows, return_index=True), strict=True):
            room = _CANDIDATES - len(found[int(row)])
            of_row = columns[begin : begin + room]
            found[int(row)] += of_row[rows[begin : begin + room] == row].tolist()
    return dict(sorted(found.items()))


def _same_detail(one: ScanRecord, other: ScanRecord) -> bool:
    if not one.detail or not other.detail:
        return True
    ours, theirs = unit(np.array([one.detail, other.detail], dtype=np.int8))
    return bool(ours @ theirs > 1 - NEAR_DETAIL) or not (ours.any() or theirs.any())


def _warning(split: str | None, its_split: str | None) -> str:
    """Without the name, so that equal warnings are counted together."""
    if its_split is None or its_split == split:
        return "near-duplicate of another scan"
    return f"near-duplicate of a scan of the split {its_split}"
