"""Published words: cubes of generated files become scans, boxes and labels, or one clear error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from selfscan.errors import SelfscanError
from selfscan.scans.crops import ForegroundCrops, VisualWordCrops
from selfscan.scans.crops.reading import read_volume
from selfscan.scans.published_words import store_published_words
from selfscan.scans.store import Store
from selfscan.scans.words import Box, Words

SIZE = (8, 8, 4)


def cubes_of(rows: int, seed: int) -> npt.NDArray[np.float64]:
    return np.random.default_rng(seed).integers(0, 2001, (rows, *SIZE)) / 2000


def write_files(folder: Path, *, members: int = 4, words: int = 3, fold: int = 1) -> None:
    """As released: words one after another, and the last row of each file lost."""
    labels = np.repeat(np.arange(words) + words * (fold - 1), members).astype(float)[:, None]
    for copy in (1, 2, 3):
        ending = f"vwGen_ex_ref_fold{fold}.0.npy"
        np.save(folder / f"train_data{copy}_{ending}", cubes_of(words * members - 1, copy))
        np.save(folder / f"train_label{copy}_{ending}", labels[:-1])
    held = labels[::2]
    np.save(folder / f"val_data1_{ending}", cubes_of(len(held) - 1, 9))
    np.save(folder / f"val_label1_{ending}", held[:-1])


def test_cubes_become_scans_and_boxes(tmp_path: Path) -> None:
    write_files(tmp_path)
    words = store_published_words(tmp_path, tmp_path / "store")
    store = Store(tmp_path / "store")
    assert Words.read(tmp_path / "store") == words
    words.check(store)
    assert len(words) == 3
    assert len(store) == len(words.members) == 11 + 5
    assert [len(words.of(word, "training")) for word in range(3)] == [4, 4, 3]
    member = words.of(1, "training")[2]
    assert (member.rank, member.box) == (2, Box((0, 0, 0), SIZE))
    assert member.jitter == (Box((0, 0, 4), SIZE), Box((0, 0, 8), SIZE))
    for copy, box in enumerate((member.box, *member.jitter), start=1):
        voxels = store.read(store.find(member.scan), box.start, box.extent)[0]
        assert np.array_equal(voxels, np.rint(cubes_of(11, copy)[6] * 2000 - 1000))
    (held, _) = words.of(0, "validation")
    assert held.jitter == ()
    assert set(store.splits) == set()


def test_crops_are_the_published_cubes(tmp_path: Path) -> None:
    write_files(tmp_path)
    words, random = store_published_words(tmp_path, tmp_path / "store"), np.random.default_rng(0)
    store = Store(tmp_path / "store")
    crops = VisualWordCrops(words, ForegroundCrops(SIZE))
    crops.check(store)
    published = {
        np.rint(cube * 2000 - 1000).astype(np.int16).tobytes()
        for rows, seed in ((11, 1), (11, 2), (11, 3), (5, 9))
        for cube in cubes_of(rows, seed)
    }
    for _ in range(20):
        (crop,) = crops.draw(store, random).crops
        assert read_volume(store, crop)[0].tobytes() in published


def test_files_of_more_words_are_taken_together_and_the_first_may_do(tmp_path: Path) -> None:
    write_files(tmp_path, fold=1)
    write_files(tmp_path, fold=2)
    assert len(store_published_words(tmp_path, tmp_path / "all")) == 6
    two = store_published_words(tmp_path, tmp_path / "two", words=2)
    assert {member.word for member in two.members} == {0, 1}


def test_what_is_missing_or_does_not_fit_is_named(tmp_path: Path) -> None:
    with pytest.raises(SelfscanError, match=r"found no train_data1_\*\.npy; expected the publ"):
        store_published_words(tmp_path, tmp_path / "store")
    write_files(tmp_path)
    copy = tmp_path / "train_data3_vwGen_ex_ref_fold1.0.npy"
    np.save(copy, cubes_of(5, 0))
    with pytest.raises(SelfscanError, match=r"train_data3.*found an array of shape \(5, 8, 8, 4\)"):
        store_published_words(tmp_path, tmp_path / "a")
    copy.unlink()
    with pytest.raises(SelfscanError, match=r"train_data3.*found no readable NumPy file"):
        store_published_words(tmp_path, tmp_path / "b")


def test_other_intensities_are_refused(tmp_path: Path) -> None:
    write_files(tmp_path)
    np.save(tmp_path / "train_data1_vwGen_ex_ref_fold1.0.npy", cubes_of(11, 0) * 2000)
    with pytest.raises(SelfscanError, match="expected 0 to 1, for -1000 to 1000 HU"):
        store_published_words(tmp_path, tmp_path / "store")
