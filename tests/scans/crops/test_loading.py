from __future__ import annotations

import numpy as np
import pytest
import torch

from selfscan.errors import ScanError, SelfscanError
from selfscan.scans.crops import (
    Batch,
    Crop,
    CropDataset,
    Example,
    ForegroundCrops,
    LabelCrops,
    UniformCrops,
    batches,
)

SHAPE = (40, 36, 20)


class Twins:
    """Two crops of two scans, with something attached."""

    def check(self, store) -> None:
        if len(store) < 2:
            raise SelfscanError("found one scan; expected two")

    def draw(self, store, random) -> Example:
        crops = tuple(Crop(int(random.integers(len(store))), (1, 2, 3), (4, 5, 6)) for _ in "ab")
        return Example(crops, {"word": np.array(crops[0].scan), "place": random.random(2)})


@pytest.fixture
def store(make_store, random):
    volumes = [random.integers(-1000, 1000, SHAPE).astype(np.int16) for _ in range(3)]
    labels = [(volume > 900).astype(np.uint8) for volume in volumes]
    return make_store(volumes, labels=labels)


def same(first: Batch, second: Batch) -> bool:
    return (
        torch.equal(first.volumes, second.volumes)
        and torch.equal(first.examples, second.examples)
        and torch.equal(first.starts, second.starts)
        and torch.equal(first.scans, second.scans)
    )


def test_an_item_depends_on_seed_and_number_alone(store) -> None:
    policy = UniformCrops((8, 8, 8))
    whole = CropDataset(store, policy, seed=5, length=20)
    later = CropDataset(store, policy, seed=5, length=5, first=15)
    backwards = [whole[i] for i in reversed(range(20))][::-1]
    for i in range(5):
        np.testing.assert_array_equal(later[i].volumes, backwards[15 + i].volumes)
        assert later[i].number == 15 + i
        assert later[i].example.crops == backwards[15 + i].example.crops
    other = CropDataset(store, policy, seed=6, length=20)
    assert any(other[i].example.crops != backwards[i].example.crops for i in range(20))


@pytest.mark.parametrize("seed", [0, 3, 2**32 - 1, 2**32, 2**63 - 1])
@pytest.mark.parametrize("number", [0, 5, 2**32 + 1])
def test_examples_are_those_of_numpys_own_generator(store, seed: int, number: int) -> None:
    policy = UniformCrops((4, 5, 6), count=3)
    data = CropDataset(store, policy, seed=seed, length=1, first=number)
    expected = policy.draw(store, np.random.default_rng([seed, number]))
    assert data.example(0) == expected


@pytest.mark.slow
def test_workers_ranks_and_restarts_change_nothing(store) -> None:
    data = CropDataset(store, ForegroundCrops((8, 8, 8)), seed=1, length=48, with_labels=True)
    alone = list(batches(data, batch_size=8, steps=6))
    helped = list(batches(data, batch_size=8, steps=6, workers=2))
    assert all(same(a, b) for a, b in zip(alone, helped, strict=True))
    resumed = list(batches(data, batch_size=8, steps=6, first_step=4, workers=2))
    assert all(same(a, b) for a, b in zip(alone[4:], resumed, strict=True))
    ranks = [list(batches(data, batch_size=4, steps=6, rank=r, world_size=2)) for r in (0, 1)]
    for step, (even, odd) in enumerate(zip(*ranks, strict=True)):
        assert torch.equal(alone[step].volumes[0::2], even.volumes)
        assert torch.equal(alone[step].volumes[1::2], odd.volumes)
        assert alone[step].examples.tolist() == list(range(8 * step, 8 * step + 8))
        assert torch.equal(alone[step].labels[1::2], odd.labels)


def test_a_batch_holds_what_the_crops_say(store) -> None:
    data = CropDataset(store, Twins(), seed=0, length=4, with_labels=True)
    (batch,) = batches(data, batch_size=4, steps=1)
    assert len(batch) == 4
    assert batch.volumes.shape == (4, 2, 1, 4, 5, 6)
    assert batch.volumes.dtype == torch.int16
    assert batch.labels.shape == (4, 2, 4, 5, 6)
    assert batch.labels.dtype == torch.int64
    assert batch.hounsfield.shape == (4, 2, 1)
    assert batch.hounsfield.all()
    assert batch.starts.tolist() == [[[1, 2, 3]] * 2] * 4
    assert batch.extras["word"].tolist() == batch.scans[:, 0].tolist()
    assert batch.extras["place"].shape == (4, 2)
    for row in range(4):
        for k in range(2):
            scan = int(batch.scans[row, k])
            box = store.read(scan, (1, 2, 3), (4, 5, 6))
            assert torch.equal(batch.volumes[row, k], torch.from_numpy(box))
    moved = batch.to("cpu")
    assert same(batch, moved)
    assert moved.extras.keys() == batch.extras.keys()


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_damaged_scan_is_named_wherever_it_is_read(store, workers: int) -> None:
    (store.path / "volumes" / "scan-1.b2nd").write_bytes(b"no volume")
    data = CropDataset(store, UniformCrops((4, 4, 4)), seed=0, length=64)
    with pytest.raises(ScanError, match=r"scan-1.b2nd: found 9 bytes where there were"):
        list(batches(data, batch_size=8, steps=8, workers=workers))


def test_impossible_requests_fail_before_training(store, make_store) -> None:
    plain = make_store([store.read(0)[0]], name="plain")
    with pytest.raises(SelfscanError, match="1 of 1 scans without labels"):
        CropDataset(plain, LabelCrops((4, 4, 4)), seed=0, length=1)
    with pytest.raises(SelfscanError, match="without labels"):
        CropDataset(plain, UniformCrops((4, 4, 4)), seed=0, length=1, with_labels=True)
    with pytest.raises(SelfscanError, match="expected two"):
        CropDataset(plain, Twins(), seed=0, length=1)
    data = CropDataset(store, UniformCrops((4, 4, 4)), seed=0, length=10)
    with pytest.raises(ValueError, match="need 12 items, the data set has 10"):
        batches(data, batch_size=4, steps=3)
    with pytest.raises(ValueError, match="rank must be within 0 to 1, got 2"):
        batches(data, batch_size=1, steps=1, rank=2, world_size=2)
    with pytest.raises(ValueError, match="length must be at least 1"):
        CropDataset(store, UniformCrops((4, 4, 4)), seed=0, length=0)
