"""Held-out scans: by patient, never those kept for later, always the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from labelled_store import write_store

from selfscan.errors import SelfscanError
from selfscan.scans.index import write_index
from selfscan.scans.store import Store
from selfscan.training.held_out import hold_out, pretraining_scans


def store_of(out: Path, patients: str, splits: tuple[str | None, ...] | None = None) -> Store:
    """The example scans as those of other patients, a letter each."""
    records = list(Store(write_store(out)))
    splits = splits or (None,) * len(patients)
    rows = [
        replace(record, subject=patient, split=split)
        for record, patient, split in zip(records, patients, splits, strict=False)
    ]
    write_index(out, rows, [], {})
    return Store(out)


def test_scans_kept_for_later_stay_unseen_with_all_of_their_patients(tmp_path: Path) -> None:
    splits = (None, "train", "validation", "test", None, None)
    store = store_of(tmp_path, "abcdcb", splits)
    assert pretraining_scans(store, None).ids == ("scan-0", "scan-1", "scan-5")
    assert pretraining_scans(store, ["train", "test"]).ids == ("scan-1", "scan-3")


def test_a_patient_with_a_near_duplicate_of_a_test_case_stays_unseen(tmp_path: Path) -> None:
    store = store_of(tmp_path, "abccd", ("test", None, None, None, None))
    rows = [replace(one, near_duplicate_of={"scan-2": "scan-0"}.get(one.id)) for one in store]
    write_index(tmp_path, rows, [], {})
    assert pretraining_scans(Store(tmp_path), None).ids == ("scan-1", "scan-4")


def test_a_store_without_splits_is_used_whole(tmp_path: Path) -> None:
    assert len(pretraining_scans(store_of(tmp_path, "abcdef"), None)) == 6


def test_a_store_of_reserved_splits_only_is_refused(tmp_path: Path) -> None:
    store = store_of(tmp_path, "ab", ("test", "validation"))
    with pytest.raises(SelfscanError, match="found scans of the splits validation and test only"):
        pretraining_scans(store, None)


@pytest.mark.parametrize(("share", "patients"), [(0.01, 1), (0.5, 2), (0.99, 3)])
def test_a_patient_is_on_one_side_only(tmp_path: Path, share: float, patients: int) -> None:
    store = store_of(tmp_path, "aabbcd")
    train, held = hold_out(store, share=share, seed=3)
    assert set(train.subjects).isdisjoint(held.subjects)
    assert sorted(train.ids + held.ids) == sorted(store.ids)
    assert len(set(held.subjects)) == patients
    again = hold_out(store, share=share, seed=3)
    assert (again[0].ids, again[1].ids) == (train.ids, held.ids)


def test_near_duplicates_of_two_patients_are_on_one_side(tmp_path: Path) -> None:
    store = store_of(tmp_path, "abcdef")
    unbroken = [hold_out(store, share=0.5, seed=seed)[1].ids for seed in range(10)]
    # The first of the second group, scan-9, is no longer there.
    first = {"scan-4": "scan-1", "scan-2": "scan-9", "scan-5": "scan-9"}
    rows = [replace(one, near_duplicate_of=first.get(one.id)) for one in store]
    write_index(tmp_path, rows, [], {})
    store, apart = Store(tmp_path), 0
    for seed, before in enumerate(unbroken):
        train, held = hold_out(store, share=0.5, seed=seed)
        assert sorted(train.ids + held.ids) == sorted(store.ids)
        for pair in ({"scan-1", "scan-4"}, {"scan-2", "scan-5"}):
            assert len(pair & set(held.ids)) != 1
            apart += len(pair & set(before)) == 1
    assert apart > 5
    with pytest.raises(SelfscanError, match=r"4 patient\(s\), those whose scans nearly repeat"):
        hold_out(store, share=0.1, seed=0, at_least=3)


def test_other_seeds_hold_out_other_patients(tmp_path: Path) -> None:
    store = store_of(tmp_path, "abcdef")
    assert len({hold_out(store, share=0.1, seed=seed)[1].ids for seed in range(20)}) > 3


def test_pairs_leave_two_patients_on_either_side(tmp_path: Path) -> None:
    for share in (0.01, 0.99):
        sides = hold_out(store_of(tmp_path / str(share), "abcd"), share=share, seed=0, at_least=2)
        assert [len(set(side.subjects)) for side in sides] == [2, 2]


@pytest.mark.parametrize(("patients", "at_least"), [("aaa", 1), ("abcc", 2)])
def test_too_few_patients_are_refused(tmp_path: Path, patients: str, at_least: int) -> None:
    message = rf"found scans of \d patient\(s\); expected at least {2 * at_least}"
    with pytest.raises(SelfscanError, match=message):
        hold_out(store_of(tmp_path, patients), share=0.1, seed=0, at_least=at_least)
