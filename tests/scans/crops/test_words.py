"""Crops at visual words: which boxes are drawn, how crops are laid at them, who is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn import functional

from selfscan.errors import ContractError, SelfscanError
from selfscan.scans.crops import (
    Crop,
    CropDataset,
    CropPolicy,
    ForegroundCrops,
    LungCrops,
    MatchedCrops,
    OverlappingCrops,
    UniformCrops,
    VisualWordCrops,
    collate,
)
from selfscan.scans.crops.places import laid_at
from selfscan.scans.store import Store
from selfscan.scans.words import Box, Member, WordOrigin, Words, WordsHeader

MakeStore = Callable[..., Store]
SIZE = (8, 8, 4)
BASE = Box((4, 6, 3), SIZE)
JITTER = (Box((5, 4, 3), (10, 10, 4)), Box((3, 7, 3), (6, 6, 4)))


@pytest.fixture
def store(make_store: MakeStore) -> Store:
    random = np.random.default_rng(0)
    return make_store([random.integers(-500, 1000, (24, 20, 16)) for _ in range(3)])


@pytest.fixture
def words(store: Store) -> Words:
    header = WordsHeader(
        size=SIZE,
        frame="voxel",
        spacing=store.contract.spacing,
        contract=store.contract.digest(),
        store=store.digest(),
        origins=(WordOrigin("scan-0", (0, 0, 0)), WordOrigin("scan-1", (0, 0, 0))),
    )
    digests = {record.id: record.volume_digest for record in store}
    members = [
        Member(word, split, scan, digests[scan], rank, 0.0, BASE, JITTER)
        for word in (0, 1)
        for split, scan, rank in (
            ("training", "scan-0", 0),
            ("training", "scan-1", 1),
            ("validation", "scan-2", 0),
        )
    ]
    return Words(header, tuple(members))


def training(store: Store) -> Store:
    return store.select(ids=["scan-0", "scan-1"])


def validation(store: Store) -> Store:
    return store.select(ids=["scan-2"])


def test_all_boxes_of_all_words_are_drawn_alike(store: Store, words: Words) -> None:
    crops, seen = VisualWordCrops(words, ForegroundCrops(SIZE)), training(store)
    random, drawn, count = np.random.default_rng(0), Counter[tuple[int, ...]](), 1_800
    for _ in range(count):
        example = crops.draw(seen, random)
        (crop,), (word,) = example.crops, example.extras["word"]
        drawn[(int(word), crop.scan, *crop.start, *crop.covered)] += 1
    expected = {
        (word, scan, *box.start, *box.extent)
        for word in (0, 1)
        for scan in (0, 1)
        for box in (BASE, *JITTER)
    }
    assert set(drawn) == expected
    assert min(drawn.values()) > count / 12 - 4 * (count / 12) ** 0.5
    assert max(drawn.values()) < count / 12 + 4 * (count / 12) ** 0.5


def test_what_is_validated_on_is_as_it_was_found(store: Store, words: Words) -> None:
    crops, held = VisualWordCrops(words, UniformCrops(SIZE)), validation(store)
    random = np.random.default_rng(0)
    for _ in range(20):
        (crop,) = crops.draw(held, random).crops
        assert (crop.start, crop.covered) == (BASE.start, BASE.extent)


def test_crops_read_on_the_fly_are_those_cut_beforehand(store: Store, words: Words) -> None:
    dataset = CropDataset(
        training(store), VisualWordCrops(words, ForegroundCrops(SIZE)), seed=3, length=24
    )
    for number in range(24):
        item = dataset[number]
        (crop,) = item.example.crops
        whole = training(store).read(crop.scan).astype(np.float64)
        x, y, z = crop.start
        i, j, k = crop.covered
        cube = torch.from_numpy(whole[None, :, x : x + i, y : y + j, z : z + k])
        if i > SIZE[0]:  # shrunk crops are smoothed first, as `prepare` does
            continue
        expected = functional.interpolate(cube, SIZE, mode="trilinear", align_corners=False)
        assert np.abs(item.volumes[0] - expected[0].numpy()).max() <= 0.51


def test_a_batch_holds_the_word_of_each_crop(store: Store, words: Words) -> None:
    policy = VisualWordCrops(words, UniformCrops(SIZE, 3))
    dataset = CropDataset(training(store), policy, seed=1, length=4)
    batch = collate([dataset[i] for i in range(4)])
    assert batch.extras["word"].shape == (4, 3)
    assert batch.extras["word"].dtype == torch.int64
    assert batch.volumes.shape == (4, 3, 1, *SIZE)
    assert set(batch.extras["word"].flatten().tolist()) == {0, 1}


def test_larger_crops_have_the_same_middle_and_scale() -> None:
    anchor = Crop(0, (20, 20, 10), (8, 8, 4), extent=(12, 8, 4))
    crop = laid_at(anchor, (64, 64, 32), (16, 16, 8))
    assert (crop.start, crop.covered, crop.size) == ((14, 16, 8), (24, 16, 8), (16, 16, 8))
    assert crop.middle.tolist() == anchor.middle.tolist()
    plain = laid_at(anchor, (64, 64, 32), (16, 16, 8), resized=False)
    assert (plain.start, plain.covered) == ((18, 16, 8), (16, 16, 8))
    moved = laid_at(anchor, (28, 64, 32), (16, 16, 8))
    assert moved.start == (4, 16, 8)


def test_pairs_keep_their_scale_and_only_the_first_crop_lies_at_the_word(
    store: Store, words: Words
) -> None:
    policy = OverlappingCrops((12, 10, 6), voxels=20, pairs=2)
    crops, random = VisualWordCrops(words, policy), np.random.default_rng(0)
    middles = {Crop(0, box.start, SIZE, box.extent).middle.tobytes() for box in (BASE, *JITTER)}
    for _ in range(20):
        example = crops.draw(training(store), random)
        first, second, third, fourth = example.crops
        assert [crop.covered for crop in example.crops] == [policy.size] * 4
        assert example.extras["word"][1::2].tolist() == [-1, -1]
        assert set(example.extras["word"][0::2].tolist()) <= {0, 1}
        assert {first.middle.tobytes(), third.middle.tobytes()} <= middles
        for pair, (one, other) in enumerate([(first, second), (third, fourth)]):
            assert one.scan == other.scan
            assert ((np.array(one.middle) - other.start) >= 0).all()
            assert ((np.array(one.middle) - other.start) < policy.size).all()
            shared = example.extras["shared"][pair]
            voxels = example.extras["voxels"][pair, :shared]
            assert (voxels[:, 0] + one.start == voxels[:, 1] + other.start).all()


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (MatchedCrops(SIZE), "MatchedCrops decides by itself .One crop of each of two scans"),
        (LungCrops(), "LungCrops decides by itself .One crop that holds little more than air"),
    ],
)
def test_policies_that_choose_places_by_themselves_are_refused(
    words: Words, policy: CropPolicy, reason: str
) -> None:
    with pytest.raises(ValueError, match=f"{reason}.*; choose a method, or a crop_policy"):
        VisualWordCrops(words, policy)


def test_a_store_without_these_scans_is_refused(
    store: Store, words: Words, make_store: MakeStore
) -> None:
    crops = VisualWordCrops(words, ForegroundCrops(SIZE))
    crops.check(store)
    other = make_store([np.zeros((24, 20, 16))], name="other")
    with pytest.raises((SelfscanError, ContractError), match="discover"):
        crops.check(other)
