"""Tables that lack values, and other files of a store that hold what they should not."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from selfscan.errors import SelfscanError
from selfscan.scans.filled import require_filled
from selfscan.scans.record import OPTIONAL, SCHEMA
from selfscan.scans.store import Store


def with_cells(table: pa.Table, name: str, cells: list) -> pa.Table:
    at = table.schema.get_field_index(name)
    field = table.schema.field(at)
    return table.set_column(at, field, [pa.array(cells, field.type)])


@pytest.mark.parametrize("name", [name for name in SCHEMA.names if name not in OPTIONAL])
def test_a_column_of_the_index_may_lack_no_value(name: str, make_store) -> None:
    path = make_store([np.zeros((4, 4, 4), np.int16) + n for n in range(2)]).path
    index = path / "scans.parquet"
    table = pq.read_table(index)
    pq.write_table(with_cells(table, name, [table[name].to_pylist()[0], None]), index)
    with pytest.raises(SelfscanError, match=f"found rows without {name}"):
        list(Store(path))


def test_values_may_be_missing_at_no_depth_of_lists(tmp_path) -> None:
    for cells in ([[[1], [2, None]]], [[[1], None]], [None]):
        with pytest.raises(SelfscanError, match="found rows without a"):
            require_filled(
                tmp_path, pa.table({"a": pa.array(cells, pa.list_(pa.list_(pa.int8())))})
            )
    whole = pa.table({"a": [[[1], []], []], "b": [None, None]})
    require_filled(tmp_path, whole, but=["b"])


def test_scans_of_other_numbers_of_channels_are_refused(make_store) -> None:
    path = make_store([np.zeros((4, 4, 4), np.int16) + n for n in range(2)]).path
    table = pq.read_table(path / "scans.parquet")
    for cells in ([["ct"], ["ct", "mr"]], [[], []]):
        pq.write_table(with_cells(table, "modality", cells), path / "scans.parquet")
        with pytest.raises(SelfscanError, match="channels; expected as many"):
            Store(path).read(0)


@pytest.mark.parametrize("content", ['{"nan": "a"}', "[1]", "[" * 100_000, '{"1e3": "a"}'])
def test_label_names_that_are_none_are_refused(content: str, make_store) -> None:
    path = make_store([np.zeros((4, 4, 4), np.int16)]).path
    (path / "labels.json").write_text(content)
    with pytest.raises(SelfscanError, match=r"labels\.json: found"):
        Store(path)


def test_a_contract_out_of_range_is_refused(make_store) -> None:
    path = make_store([np.zeros((4, 4, 4), np.int16)]).path
    fields = json.loads((path / "contract.json").read_text())
    (path / "contract.json").write_text(json.dumps(fields | {"percentiles": [0.5, 1e308]}))
    with pytest.raises(SelfscanError, match="found a contract in which"):
        Store(path)


def test_text_that_is_none_is_refused(tmp_path) -> None:
    text = pa.array([b"\xff"], pa.binary()).view(pa.string())
    with pytest.raises(SelfscanError, match="found a damaged table"):
        require_filled(tmp_path, pa.table({"a": text}))
