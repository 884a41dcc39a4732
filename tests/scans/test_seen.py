from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from selfscan.scans.record import SCHEMA
from selfscan.scans.seen import FILE, Seen
from selfscan.scans.store import Store


@pytest.fixture
def volumes(random: np.random.Generator) -> list[np.ndarray]:
    coarse = random.integers(-900, 900, (6, 3, 3, 3))
    return [v.repeat(6, 0).repeat(5, 1).repeat(4, 2).astype(np.int16) for v in coarse]


def test_the_same_voxels_are_found(make_store, volumes) -> None:
    seen = Seen.of(make_store(volumes[:3], name="seen"))
    (leak,) = seen.leaks(make_store([volumes[4], volumes[1]], name="test"))
    assert (leak.case, leak.why) == ("scan-1", "the same voxels")


def test_a_noisy_copy_is_found_and_other_scans_are_not(make_store, volumes, random) -> None:
    seen = Seen.of(make_store(volumes[:3], name="seen"))
    noisy = volumes[2] + random.normal(0, 20, volumes[2].shape).astype(np.int16)
    (leak,) = seen.leaks(make_store([noisy, *volumes[3:]], name="test"))
    assert leak.case == "scan-0"
    assert leak.why.startswith("nearly the same image (distance 0.00")


def test_another_scan_of_a_patient_is_found_in_the_same_store(make_store, volumes) -> None:
    store = make_store(volumes[:3], subjects=["ann", "bob", "ann"])
    seen = Seen.of(store.select(ids=["scan-0"]))
    found = seen.leaks(store.select(ids=["scan-1", "scan-2"]))
    assert [(leak.case, leak.why) for leak in found] == [
        ("scan-2", "another scan of the same patient")
    ]


def test_patients_of_stores_with_other_salts_cannot_be_told_to_be_the_same(
    make_store, volumes
) -> None:
    ours = make_store(volumes[:1], subjects=["ann"], name="ours")
    theirs = make_store(volumes[1:2], subjects=["ann"], name="theirs")
    assert Seen.of(ours).leaks(theirs) == []
    for store in (ours, theirs):
        (store.path / "salt.txt").write_text("salt")
    assert len(Seen.of(ours).leaks(theirs)) == 1


def test_the_file_is_small_and_names_nobody(make_store, volumes, tmp_path: Path) -> None:
    seen = Seen.of(make_store(volumes[:3], subjects=["ann", "bob", "cis"]))
    assert Seen.read(tmp_path) is None
    seen.write(tmp_path)
    again = Seen.read(tmp_path)
    assert again is not None
    assert again.content == seen.content
    assert again.subjects == seen.subjects
    np.testing.assert_array_equal(again.fingerprints, seen.fingerprints)
    written = (tmp_path / FILE).read_bytes()
    assert not any(name in written for name in (b"ann", b"bob", b"cis", b"scan-", b"salt.txt"))


def test_what_several_runs_saw_is_added_up(make_store, volumes) -> None:
    one, two = (Seen.of(make_store([v], name=str(i))) for i, v in enumerate(volumes[:2]))
    test = make_store(volumes[:3], name="test")
    assert len(one.with_([two]).leaks(test)) == 2


def test_a_store_of_an_earlier_version_is_fingerprinted_when_asked(make_store, volumes) -> None:
    store = make_store(volumes[:2])
    expected = store[0].fingerprint
    index = store.path / "scans.parquet"
    pq.write_table(pq.read_table(index).drop_columns("fingerprint"), index)
    earlier = Store(store.path)
    assert earlier[0].fingerprint == ()
    assert earlier.fingerprint(0) == expected
    assert earlier.fingerprints()[0].tolist() == list(expected)
    assert len(SCHEMA) == len(pq.read_table(index).schema) + 1
