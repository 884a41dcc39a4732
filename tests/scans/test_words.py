from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from selfscan.errors import ContractError, SelfscanError
from selfscan.scans.store import Store
from selfscan.scans.words import Box, Member, WordOrigin, Words, WordsHeader

MakeStore = Callable[..., Store]


@pytest.fixture
def store(make_store: MakeStore) -> Store:
    random = np.random.default_rng(0)
    return make_store([random.integers(-1000, 1000, (12, 10, 8)) for _ in range(3)])


@pytest.fixture
def words(store: Store) -> Words:
    header = WordsHeader(
        size=(4, 4, 2),
        frame="body",
        spacing=store.contract.spacing,
        contract=store.contract.digest(),
        store=store.digest(),
        origins=(WordOrigin("scan-0", (0.25, 0.5, 0.75), 1, 2), WordOrigin("scan-1", (0, 0, 0))),
        constants={"words": 2, "jitter_side": [3, 5]},
        counts={"references": 3},
        seed=7,
        embedder="abc",
        version="0.1.0",
    )
    jitter = (Box((1, 1, 1), (5, 5, 2)), Box((0, 1, 1), (3, 3, 2)))
    digests = {record.id: record.volume_digest for record in store}
    members = [
        Member(word, split, scan, digests[scan], rank, rank / 3, Box((1, 2, 1), (4, 4, 2)), boxes)
        for word in (0, 1)
        for split, scan, rank, boxes in (
            ("training", f"scan-{word}", 0, jitter),
            ("training", f"scan-{1 - word}", 1, jitter),
            ("validation", "scan-2", 0, ()),
        )
    ]
    return Words(header, tuple(members))


def test_what_is_written_is_read(words: Words, tmp_path: Path) -> None:
    file = words.write(tmp_path)
    assert file == tmp_path / "words.parquet"
    assert Words.read(tmp_path) == Words.read(file) == words
    assert len(words) == 2
    assert words.write(tmp_path / "again.parquet").read_bytes() == file.read_bytes()


def test_members_of_a_word_by_rank(words: Words) -> None:
    assert [member.scan for member in words.of(1, "training")] == ["scan-1", "scan-0"]
    assert [member.scan for member in words.of(1, "validation")] == ["scan-2"]


def test_members_of_a_part_of_the_store(words: Words, store: Store) -> None:
    part = words.within(store.select(ids=["scan-2"]))
    assert [member.split for member in part.members] == ["validation"] * 2
    part.check(store.select(ids=["scan-2"]))


def test_words_fit_the_store_they_came_from(words: Words, store: Store) -> None:
    words.check(store)
    with pytest.raises(SelfscanError, match=r"found no scan 'scan-2' among 2; expected an id"):
        words.check(store.select(ids=["scan-0", "scan-1"]))


def test_a_box_outside_its_scan_is_refused(words: Words, store: Store) -> None:
    first, *rest = words.members
    past = replace(first, jitter=(Box((8, 1, 1), (5, 5, 2)),))
    with pytest.raises(SelfscanError, match=r"scan-0: found a box of word 0 at \(8, 1, 1\) of"):
        replace(words, members=(past, *rest)).check(store)


def test_other_voxels_are_refused(words: Words, store: Store) -> None:
    first, *rest = words.members
    other = replace(first, volume_digest="0123456789abcdef")
    with pytest.raises(SelfscanError, match=r"expected 0123456789abcdef, as when words were"):
        replace(words, members=(other, *rest)).check(store)


def test_another_spacing_or_preprocessing_is_refused(words: Words, store: Store) -> None:
    spaced = replace(words, header=replace(words.header, spacing=(2.0, 2.0, 2.0)))
    with pytest.raises(ContractError, match=r"spacing None; expected \(2.0, 2.0, 2.0\)"):
        spaced.check(store)
    prepared = replace(words, header=replace(words.header, contract="other"))
    with pytest.raises(ContractError, match=r"another preprocessing, digest .* expected other"):
        prepared.check(store)


def test_none_of_the_scans(words: Words, make_store: MakeStore, store: Store) -> None:
    members = tuple(replace(member, scan=f"x-{member.scan}") for member in words.members)
    with pytest.raises(SelfscanError, match=r"found none of the 3 scans of these words among 3"):
        replace(words, members=members).within(store)


def test_what_is_no_words_file_is_refused(words: Words, tmp_path: Path) -> None:
    with pytest.raises(SelfscanError, match=r"found nothing; expected the words of `selfscan"):
        Words.read(tmp_path)
    (tmp_path / "damaged.parquet").write_bytes(b"words")
    with pytest.raises(SelfscanError, match="no readable Parquet file"):
        Words.read(tmp_path / "damaged.parquet")
    pq.write_table(pa.table({"word": [1]}), tmp_path / "other.parquet")
    with pytest.raises(SelfscanError, match="a Parquet file that holds no words"):
        Words.read(tmp_path / "other.parquet")


def test_another_format_is_refused(words: Words, tmp_path: Path) -> None:
    file = words.write(tmp_path)
    table = pq.read_table(file)
    (key,) = table.schema.metadata
    header = table.schema.metadata[key].replace(b'"format": 1', b'"format": 2')
    pq.write_table(table.replace_schema_metadata({key: header}), file)
    with pytest.raises(SelfscanError, match=r"another format, by selfscan 0.1.0; expected format"):
        Words.read(file)
    header = table.schema.metadata[key].replace(b'"seed"', b'"sead"')
    pq.write_table(table.replace_schema_metadata({key: header}), file)
    with pytest.raises(SelfscanError, match=r"found a header with .*'sead'.*; expected"):
        Words.read(file)


def test_a_header_without_a_meaning_is_refused(words: Words) -> None:
    with pytest.raises(ValueError, match="size must be three lengths of 1 voxel or more"):
        replace(words.header, size=(4, 4, 0))
    with pytest.raises(ValueError, match=r"frame must be one of \('voxel', 'body'\), got 'mm'"):
        replace(words.header, frame="mm")  # type: ignore[arg-type]
