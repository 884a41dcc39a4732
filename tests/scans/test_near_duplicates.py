from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from plain_record import plain_record

from selfscan.scans import near_duplicates as module
from selfscan.scans.fingerprint import SIZE
from selfscan.scans.near_duplicates import marked, named_in, near_duplicates, reason_for
from selfscan.scans.record import ScanRecord

DETAIL = 387


def drawn(seed: int, size: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-100, 100, size)


def record(
    id: str, image: int, *, turn: int = 0, detail: int | None = None, split: str | None = None,
    labelled: bool = False,
) -> ScanRecord:  # fmt: skip
    """A record of an image; `turn` changes one number of the fingerprint a little."""
    values = drawn(image, SIZE)
    values[0] += turn
    return plain_record(
        id,
        split=split,
        labelled=labelled,
        fingerprint=tuple(values.tolist()),
        detail=tuple(drawn(image if detail is None else detail, DETAIL).tolist()),
    )


def test_every_copy_names_the_first_of_its_group() -> None:
    records = [record("c", 1, turn=3), record("b", 1), record("a", 1, turn=-3), record("z", 2)]
    assert near_duplicates(records) == {"b": "a", "c": "a"}
    assert near_duplicates(records[::-1]) == {"b": "a", "c": "a"}


def test_test_cases_come_first_then_validation_then_labels() -> None:
    records = [
        record("a", 1),
        record("b", 1, labelled=True, split="train"),
        record("c", 1, split="validation"),
        record("d", 1, split="test"),
    ]
    assert near_duplicates(records) == dict.fromkeys("abc", "d")
    assert near_duplicates(records[:3]) == dict.fromkeys("ab", "c")
    assert near_duplicates(records[:2]) == {"a": "b"}


def test_a_like_fingerprint_of_another_patient_is_told_by_its_detail() -> None:
    records = [record("a", 1), record("b", 1, detail=2), record("c", 1, detail=2)]
    assert near_duplicates(records) == {"c": "b"}
    without = [replace(one, detail=()) for one in records]
    assert near_duplicates(without) == {"b": "a", "c": "a"}


def test_scans_without_contrast_or_fingerprint_repeat_none() -> None:
    flat = replace(record("a", 1), fingerprint=(0,) * SIZE, detail=(0,) * DETAIL)
    old = replace(record("b", 1), fingerprint=(), detail=())
    assert near_duplicates([flat, replace(flat, id="c"), old, replace(old, id="d")]) == {}
    assert near_duplicates([]) == {}


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    # 40 images, 120 scans: every image three times, far apart in the order.
    records = [record(f"{n:03d}", n % 40, turn=n // 40) for n in range(120)]
    expected = {f"{n:03d}": f"{n % 40:03d}" for n in range(40, 120)}
    assert near_duplicates(records) == expected
    monkeypatch.setattr(module, "_ROWS", 7)
    monkeypatch.setattr(module, "_COLUMNS", 5)
    assert near_duplicates(records) == expected


def test_more_copies_than_candidates() -> None:
    records = [record(f"{n:03d}", 1) for n in range(50)]
    assert near_duplicates(records) == {f"{n:03d}": "000" for n in range(1, 50)}


def test_the_warning_says_where_the_first_is_and_not_its_name() -> None:
    records = [
        record("a", 1, split="pretrain"),
        record("b", 1, split="test"),
        record("c", 1, split="test"),
        record("d", 2),
    ]
    found = marked(records, near_duplicates(records))
    assert [one.near_duplicate_of for one in found] == ["b", None, "b", None]
    assert [one.warnings for one in found] == [
        ("near-duplicate of a scan of the split test",),
        (),
        ("near-duplicate of another scan",),
        (),
    ]


def test_a_reason_names_the_first() -> None:
    assert reason_for("case 7").startswith("near-duplicate of case 7; give --near_duplicates keep")
    assert named_in(reason_for("case 7")) == "case 7"
    assert named_in("same content as case 7") is None
