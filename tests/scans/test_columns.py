from __future__ import annotations

import pickle

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from selfscan.errors import SelfscanError
from selfscan.files import written_atomically
from selfscan.scans.columns import Columns
from selfscan.scans.store import Store


@pytest.fixture
def store(make_store, random: np.random.Generator) -> Store:
    volumes = [random.integers(-900, 900, (6 + i, 7, 8)).astype(np.int16) for i in range(4)]
    return make_store(volumes, subjects=["zoe", "ann", "zoe", "bob"])


def test_rows_are_chosen_in_order_from_rows_chosen_before(store: Store) -> None:
    columns = Columns(store.path / "scans.parquet")
    chosen = columns.take(np.array([3, 0, 2])).take(np.array([2, 0]))
    assert len(columns) == 4
    assert len(chosen) == 2
    assert chosen["id"].to_pylist() == ["scan-2", "scan-3"]
    assert chosen.table("shape", "id")["shape"].to_pylist() == [[8, 7, 8], [9, 7, 8]]


@pytest.fixture
def parted(store: Store) -> Store:
    """The store, its index in parts of one, two and one scans."""
    index = store.path / "scans.parquet"
    table = pq.read_table(index)
    with pq.ParquetWriter(index, table.schema, write_page_checksum=True) as file:
        for start, count in ((0, 1), (1, 2), (3, 1)):
            file.write_table(table.slice(start, count))
    return Store(store.path)


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 1, 0, 1], [2], [0, 3]])
def test_rows_come_from_whichever_parts_hold_them(parted: Store, order: list[int]) -> None:
    chosen = parted.columns.take(np.array(order))
    ids = [f"scan-{i}" for i in order]
    assert chosen["id"].to_pylist() == ids
    assert chosen.rows(0, len(order))["id"].to_pylist() == ids
    assert chosen.rows(0, 1)["id"].to_pylist() == ids[:1]
    assert [parted[i].id for i in order] == ids
    assert [record.id for record in parted.select(ids=ids)] == ids


def test_parts_that_nobody_asks_for_are_not_read(parted: Store) -> None:
    index = parted.path / "scans.parquet"
    content = bytearray(index.read_bytes())
    at = content.index(b"scan-3")
    content[at] ^= 1
    index.write_bytes(content)
    damaged = Store(parted.path)
    assert damaged[1].id == "scan-1"
    assert damaged.select(where=np.arange(4) < 3).ids == ("scan-0", "scan-1", "scan-2")
    with pytest.raises(SelfscanError, match="found a damaged index"):
        damaged[3]


def test_patients_are_numbered_in_the_order_of_their_digests(store: Store) -> None:
    _, expected = np.unique(store.subjects, return_inverse=True)
    assert store.patients.tolist() == expected.tolist()
    assert store.patients[0] == store.patients[2]
    assert store.select(ids=["scan-2", "scan-0"]).patients.tolist() == [0, 0]


def test_an_open_store_keeps_its_index_and_a_worker_refuses_another(store: Store) -> None:
    index = store.path / "scans.parquet"
    sent = pickle.dumps(store)
    with written_atomically(index) as temporary:
        pq.write_table(pq.read_table(index).slice(1), temporary)
    assert store.ids == ("scan-0", "scan-1", "scan-2", "scan-3")
    assert Store(store.path).ids == ("scan-1", "scan-2", "scan-3")
    with pytest.raises(SelfscanError, match="another index than the one this run began with"):
        pickle.loads(sent)


def test_a_worker_gets_no_columns_but_the_rows_that_were_chosen(store: Store) -> None:
    some = store.select(where=store.shapes[:, 0] > 7)
    assert some.ids == ("scan-2", "scan-3")
    assert pickle.loads(pickle.dumps(some)).ids == some.ids
    assert b"scan-2" not in pickle.dumps(some)


def test_a_damaged_index_is_named(store: Store) -> None:
    index = store.path / "scans.parquet"
    whole = index.read_bytes()
    index.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SelfscanError, match=r"scans.parquet: found a damaged index .*--resume"):
        Store(store.path)
    pages = bytearray(whole)
    pages[4:400] = bytes(396)
    index.write_bytes(pages)
    with pytest.raises(SelfscanError, match="found a damaged index"):
        Store(store.path).columns.table()


@pytest.mark.parametrize("change", ["gone", "text"])
def test_a_table_with_other_columns_is_no_index(store: Store, change: str) -> None:
    index = store.path / "scans.parquet"
    table = pq.read_table(index)
    at = table.schema.get_field_index("shape")
    changed = table.remove_column(at)
    if change == "text":
        changed = changed.append_column("shape", pa.array(["1x1x1"] * 4))
    pq.write_table(changed, index)
    with pytest.raises(SelfscanError, match=r"as the column shape; expected fixed_size_list"):
        Store(store.path)
