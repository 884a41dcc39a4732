from __future__ import annotations

from pathlib import Path

import pytest
from labelled_store import write_store

from selfscan.errors import ScanError
from selfscan.scans.store import Store
from selfscan.training.case_table import CaseTable

ROWS = "case,label,age\nscan-0,ill,50\nscan-1,01,60\nscan-2,ill,70\nscan-4,01,\nscan-5,ill,\n"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(write_store(tmp_path_factory.mktemp("data") / "store", labelled=False))


def table(folder: Path, text: str) -> CaseTable:
    path = folder / "labels.csv"
    path.write_text(text)
    return CaseTable.read(path)


def test_labels_are_names_whatever_they_look_like(store: Store, tmp_path: Path) -> None:
    found = table(tmp_path, ROWS + "scan-3,\n")
    assert found.names == ("01", "ill")
    train = found.select(store, "train")
    assert train.ids == ("scan-0", "scan-1", "scan-2")
    assert found.classes(train).tolist() == [1, 0, 1]
    assert found.select(store, "test").ids == ("scan-4", "scan-5")


def test_few_cases_have_every_class_and_nest(store: Store, tmp_path: Path) -> None:
    found = table(tmp_path, ROWS)
    two, three = (found.select(store, "train", cases=count) for count in (2, 3))
    assert sorted(found.classes(two).tolist()) == [0, 1]
    assert three.ids[:2] == two.ids
    with pytest.raises(ScanError, match="2 to 3 cases, got 4"):
        found.select(store, "train", cases=4)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("id,label\na,b\n", "the columns id, label"),
        ("case,label\na,x\na,y\n", "stand there twice: a"),
        ("case,label\na,x\nb,x\n", "the labels x"),
        ("case,label\na,\n", "the labels of no case"),
        ("", "no readable table"),
    ],
)
def test_unusable_tables(tmp_path: Path, text: str, found: str) -> None:
    with pytest.raises(ScanError, match=found):
        table(tmp_path, text)


def test_a_class_that_a_split_lacks(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ScanError, match="in the split 'validation' of 01, ill"):
        table(tmp_path, ROWS).select(store, "validation")


def test_cases_by_name_come_from_any_split_and_have_every_class(
    store: Store, tmp_path: Path
) -> None:
    found = table(tmp_path, ROWS)
    assert set(found.select(store, "train", cases=["scan-4", "scan-5"]).ids) == {"scan-4", "scan-5"}
    with pytest.raises(ScanError, match="of the cases scan-0, scan-2 of 01"):
        found.select(store, "train", cases=["scan-0", "scan-2"])
    with pytest.raises(ScanError, match="found no label of scan-3"):
        found.select(store, "train", cases=["scan-0", "scan-3"])


def test_a_case_that_the_store_does_not_hold(store: Store, tmp_path: Path) -> None:
    found = table(tmp_path, ROWS + "scan-77,ill\n")
    for ask in (found.select, found.among):
        with pytest.raises(ScanError, match=r"1 cases that .* does not hold: scan-77"):
            ask(store, "train")


def test_a_split_without_cases_has_none_to_validate_on(store: Store, tmp_path: Path) -> None:
    found = table(tmp_path, ROWS)
    assert found.among(store, "validation") is None
    some = found.among(store, "train")
    assert some is not None
    assert len(some) == 3
