from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from selfscan.errors import ScanError, SelfscanError
from selfscan.scans.contract import PreprocessingContract
from selfscan.scans.store import AIR, Store

SHAPE = (70, 40, 33)


@pytest.fixture
def volumes(random: np.random.Generator) -> list[np.ndarray]:
    return [random.integers(-1000, 1000, SHAPE).astype(np.int16) for _ in range(3)]


def test_a_box_equals_the_slice_of_the_whole_volume(make_store, volumes, random) -> None:
    store = make_store(volumes)
    for _ in range(50):
        scan = int(random.integers(3))
        start = random.integers(0, np.array(SHAPE) - 8)
        size = random.integers(1, np.array(SHAPE) - start + 1)
        x, y, z = (slice(a, a + b) for a, b in zip(start, size, strict=True))
        box = store.read(scan, tuple(start), tuple(size))
        np.testing.assert_array_equal(box[0], volumes[scan][x, y, z])
    np.testing.assert_array_equal(store.read(1)[0], volumes[1])


def test_what_sticks_out_is_air_for_ct_and_zero_for_others(make_store, volumes) -> None:
    for modality, outside in (("ct", AIR), ("mr", 0)):
        store = make_store(volumes[:1], modality=modality, name=modality)
        whole = store.read(0)
        padded = np.pad(whole, ((0, 0), (5, 4), (5, 4), (5, 4)), constant_values=outside)
        box = store.read(0, (-5, -5, -5), tuple(n + 9 for n in SHAPE))
        np.testing.assert_array_equal(box, padded)
        assert (store.read(0, (100, -50, 0), (4, 5, 6)) == outside).all()
        assert store.read(0, (100, -50, 0), (4, 5, 6)).shape == (1, 4, 5, 6)


def test_foreground_and_labels_are_padded_with_nothing(make_store, volumes) -> None:
    labels = np.full(SHAPE, 3, dtype=np.uint8)
    store = make_store(volumes[:1], labels=[labels])
    box = store.read_labels(0, (-1, 0, 0), (3, 2, 2))
    assert box.dtype == np.uint8
    assert (box[0] == 0).all()
    assert (box[1:] == 3).all()
    assert not store.read_foreground(0, (-2, -2, -2), (2, 2, 2)).any()
    assert store.read_foreground(0).dtype == bool
    fraction = store.read_foreground(0).mean()
    assert store[0].foreground_fraction == pytest.approx(fraction)


def test_every_channel_is_padded_by_its_own_rule(make_store, random) -> None:
    pair = random.integers(-500, 500, (2, *SHAPE)).astype(np.int16)
    store = make_store([pair], modality="ct")
    assert store.channels == 2
    assert store[0].hounsfield == (True, True)
    assert store.read(0, (-1, 0, 0), (1, 1, 1)).ravel().tolist() == [AIR, AIR]


def test_records_keep_their_types(make_store, volumes) -> None:
    record = make_store(volumes, splits=["train", "train", "test"])[2]
    assert record.id == "scan-2"
    assert record.shape == SHAPE
    assert record.spacing == (1.0, 1.0, 1.0)
    assert record.affine == tuple(map(tuple, np.eye(4).tolist()))
    assert record.split == "test"
    assert record.intensity_slope == (1.0,)
    assert not record.labelled
    assert record.foreground_box[0] <= record.foreground_box[1]


def test_selection_keeps_order_and_refuses_what_is_not_there(make_store, volumes) -> None:
    store = make_store(volumes, splits=["train", "test", "train"])
    assert store.splits == ("test", "train")
    assert store.select(splits=["train"]).ids == ("scan-0", "scan-2")
    chosen = store.select(ids=["scan-2", "scan-0"])
    assert chosen.ids == ("scan-2", "scan-0")
    np.testing.assert_array_equal(chosen.read(0)[0], volumes[2])
    assert chosen.find("scan-0") == 1
    assert chosen.digest() != store.digest() == Store(store.path).digest()
    with pytest.raises(SelfscanError, match="no scan 'nobody'"):
        store.select(ids=["nobody"])
    with pytest.raises(SelfscanError, match="its splits are test, train"):
        store.select(splits=["validation"])
    with pytest.raises(SelfscanError, match="0 have labels"):
        store.select(labelled=True)
    with pytest.raises(IndexError):
        store[3]


def test_a_store_survives_pickling(make_store, volumes) -> None:
    store = make_store(volumes)
    store.read(0)
    copy = pickle.loads(pickle.dumps(store))
    assert copy.ids == store.ids
    np.testing.assert_array_equal(copy.read(2), store.read(2))


def test_columns_are_arrays(make_store, volumes) -> None:
    store = make_store(volumes)
    assert store.shapes.tolist() == [list(SHAPE)] * 3
    assert store.select(ids=["scan-1"]).shapes.tolist() == [list(SHAPE)]
    assert store.hounsfield.tolist() == [[True]] * 3
    assert store.labelled.tolist() == [False] * 3
    assert len(set(store.subjects)) == 3
    assert store.contract == PreprocessingContract()


@pytest.mark.parametrize("damage", ["cut", "gone", "header", "empty"])
def test_a_damaged_volume_is_named(make_store, volumes, damage: str) -> None:
    store = make_store(volumes)
    file = store.path / "volumes" / "scan-1.b2nd"
    whole = file.read_bytes()
    file.unlink()
    if damage != "gone":
        half = whole[: len(whole) // 2]
        file.write_bytes({"cut": half, "header": bytes(99) + whole[99:], "empty": b""}[damage])
    with pytest.raises(ScanError, match=r"scan-1.b2nd.*expected the file that prepare wrote"):
        store.read(1)
    assert store.read(0).shape == (1, *SHAPE)


def test_a_folder_without_an_index_is_no_store(tmp_path: Path, make_store, volumes) -> None:
    with pytest.raises(SelfscanError, match=r"no contract.json.*selfscan prepare"):
        Store(tmp_path)
    store = make_store(volumes)
    (store.path / "scans.parquet").unlink()
    with pytest.raises(SelfscanError, match=r"no scans.parquet"):
        Store(store.path)
