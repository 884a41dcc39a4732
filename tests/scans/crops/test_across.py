from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from selfscan.errors import SelfscanError
from selfscan.scans.crops import Crop, CropDataset, MatchedCrops
from selfscan.scans.crops.reading import resize, resize_labels

SUBJECTS = "ABACBDA"
SHAPES = [(40, 36, 20), (30, 41, 25), (33, 30, 50), (40, 40, 40)]
SIZE = (12, 10, 6)


def noise(random, shape) -> np.ndarray:
    return random.integers(-400, 400, shape).astype(np.int16)


@pytest.fixture
def store(make_store, random):
    """Four patients of one to three scans."""
    volumes = [noise(random, SHAPES[i % 4]) for i in range(len(SUBJECTS))]
    labels = [(volume > 0).astype(np.uint8) for volume in volumes]
    return make_store(volumes, labels=labels, subjects=SUBJECTS)


@pytest.fixture
def bodies(make_store):
    """Two bodies in air; the second reaches the border of its scan."""
    first = np.full((60, 50, 40), -1000, dtype=np.int16)
    first[10:41, 20:40, 5:35] = 0
    second = np.full((50, 50, 30), -1000, dtype=np.int16)
    second[0:20, 43:49, 4:26] = 0
    return make_store([first, second], subjects="AB")


def test_patients_always_differ_and_scans_are_drawn_as_said(store, random) -> None:
    policy = MatchedCrops(SIZE)
    policy.check(store)
    pairs = Counter(
        tuple(crop.scan for crop in policy.draw(store, random).crops) for _ in range(3500)
    )
    expected = {
        (i, j): 500 / sum(other != SUBJECTS[i] for other in SUBJECTS)
        for i in range(7)
        for j in range(7)
        if SUBJECTS[i] != SUBJECTS[j]
    }
    assert pairs.keys() == expected.keys()
    assert all(abs(pairs[pair] - expected[pair]) < 4.5 * expected[pair] ** 0.5 for pair in expected)


def test_a_store_of_one_patient_is_refused(make_store, random) -> None:
    store = make_store([noise(random, (9, 9, 9)) for _ in range(3)], subjects="AAA")
    with pytest.raises(
        SelfscanError, match=r"scans of one patient only \(3\); expected at least t"
    ):
        MatchedCrops(SIZE).check(store)
    with pytest.raises(SelfscanError, match="found scans of one patient only"):
        CropDataset(store, MatchedCrops(SIZE), seed=0, length=1)


def test_the_release_draws_both_scans_from_all(store, make_store, random) -> None:
    release = MatchedCrops(SIZE, distinct=False)
    pairs = Counter(
        tuple(crop.scan for crop in release.draw(store, random).crops) for _ in range(4900)
    )
    assert len(pairs) == 49
    assert all(abs(count - 100) < 45 for count in pairs.values())
    alone = make_store([noise(random, SHAPES[0])], name="alone")
    release.check(alone)
    first, second = release.draw(alone, random).crops
    assert first == second


def test_the_center_is_that_of_the_scan_also_where_it_is_smaller(store, random) -> None:
    starts = {
        crop.scan: crop.start
        for _ in range(60)
        for crop in MatchedCrops((12, 35, 26)).draw(store, random).crops
    }
    assert [starts[scan] for scan in range(4)] == [
        (14, 0, -3),
        (9, 3, -1),
        (10, -3, 12),
        (14, 2, 7),
    ]


def test_a_shared_place_is_one_fraction_of_the_room_in_both(store, random) -> None:
    fractions = []
    for _ in range(300):
        first, second = MatchedCrops(SIZE, "shared").draw(store, random).crops
        rooms = np.array([np.subtract(store[crop.scan].shape, SIZE) for crop in (first, second)])
        starts = np.array([first.start, second.start])
        assert ((starts >= 0) & (starts <= rooms)).all()
        shares = starts / rooms
        assert (np.abs(shares[0] - shares[1]) <= (0.5 / rooms).sum(axis=0) + 1e-9).all()
        fractions.append(shares[0])
    fractions = np.sort(fractions, axis=0)
    assert np.abs(fractions - np.linspace(0, 1, 300)[:, None]).max() < 0.12
    assert fractions.min(axis=0).max() < 0.03
    assert fractions.max(axis=0).min() > 0.97


def test_where_there_is_no_room_a_shared_place_is_the_center(store, random) -> None:
    size = (41, 10, 60)
    for _ in range(20):
        for crop in MatchedCrops(size, "shared").draw(store, random).crops:
            room = np.subtract(store[crop.scan].shape, size)
            assert (crop.start[0], crop.start[2]) == (room[0] // 2, room[2] // 2)
            assert 0 <= crop.start[1] <= room[1]


def test_the_center_of_a_body_is_that_of_its_box_inside_the_scan(bodies, random) -> None:
    policy = MatchedCrops((21, 10, 34), within="body")
    starts = {crop.scan: crop.start for crop in policy.draw(bodies, random).crops}
    # The second body is narrow and at the border along x and y; along z its scan is too small.
    assert starts == {0: (15, 25, 3), 1: (0, 40, -2)}


def test_a_shared_place_ranges_over_the_body(bodies, random) -> None:
    policy = MatchedCrops((11, 6, 8), "shared", "body")
    starts = {0: [], 1: []}
    for _ in range(400):
        for crop in policy.draw(bodies, random).crops:
            starts[crop.scan].append(crop.start)
    first, second = np.array(starts[0]), np.array(starts[1])
    assert (first.min(axis=0).tolist(), first.max(axis=0).tolist()) == ([10, 20, 5], [30, 34, 27])
    assert (second.min(axis=0).tolist(), second.max(axis=0).tolist()) == ([0, 43, 4], [9, 43, 18])
    x = np.stack([(first[:, 0] - 10) / 20, second[:, 0] / 9])
    assert np.abs(x[0] - x[1]).max() <= 0.5 / 20 + 0.5 / 9 + 1e-9


def test_a_shared_place_is_the_center_of_a_body_smaller_than_the_crop(bodies, random) -> None:
    policy = MatchedCrops((41, 26, 8), "shared", "body")
    for _ in range(20):
        starts = {crop.scan: crop.start[:2] for crop in policy.draw(bodies, random).crops}
        assert starts == {0: (5, 17), 1: (0, 24)}


def test_the_whole_is_the_scan_or_the_body_at_one_size(bodies, random) -> None:
    crops = MatchedCrops(SIZE, "whole").draw(bodies, random).crops
    assert {crop.scan: crop for crop in crops} == {
        0: Crop(0, (0, 0, 0), SIZE, extent=(60, 50, 40)),
        1: Crop(1, (0, 0, 0), SIZE, extent=(50, 50, 30)),
    }
    crops = MatchedCrops(SIZE, "whole", "body").draw(bodies, random).crops
    assert {crop.scan: crop for crop in crops} == {
        0: Crop(0, (10, 20, 5), SIZE, extent=(31, 20, 30)),
        1: Crop(1, (0, 43, 4), SIZE, extent=(20, 6, 22)),
    }


@pytest.mark.parametrize("place", ["center", "shared", "whole"])
@pytest.mark.parametrize("within", ["scan", "body"])
def test_an_example_is_a_function_of_seed_and_number(store, place, within) -> None:
    policy = MatchedCrops(SIZE, place, within)
    whole = CropDataset(store, policy, seed=3, length=12, with_labels=True)
    later = CropDataset(store, policy, seed=3, length=4, first=8, with_labels=True)
    ahead = [whole[i] for i in reversed(range(12))][::-1]
    for i in range(4):
        assert later[i].example.crops == ahead[8 + i].example.crops
        np.testing.assert_array_equal(later[i].volumes, ahead[8 + i].volumes)
        np.testing.assert_array_equal(later[i].labels, ahead[8 + i].labels)
        assert later[i].volumes.shape == (2, 1, *SIZE)
    other = CropDataset(store, policy, seed=4, length=12)
    assert any(other[i].example.crops != ahead[i].example.crops for i in range(12))


def test_an_example_of_whole_scans_holds_them_resized(store) -> None:
    item = CropDataset(store, MatchedCrops(SIZE, "whole"), seed=0, length=1, with_labels=True)[0]
    for k, crop in enumerate(item.example.crops):
        np.testing.assert_array_equal(item.volumes[k], resize(store.read(crop.scan), SIZE))
        labels = resize_labels(store.read_labels(crop.scan), SIZE)
        np.testing.assert_array_equal(item.labels[k], labels)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": (4, 0, 4)}, r"three lengths .* got \(4, 0, 4\)"),
        ({"place": "corner"}, "place must be center or shared or whole, got 'corner'"),
        ({"within": "lung"}, "within must be scan or body, got 'lung'"),
    ],
)
def test_values_without_a_meaning_are_refused(options, message) -> None:
    with pytest.raises(ValueError, match=message):
        MatchedCrops(**{"size": SIZE} | options)


@pytest.mark.parametrize("place", ["center", "shared", "whole"])
@pytest.mark.parametrize("within", ["scan", "body"])
def test_the_middle_is_the_crop_of_a_scan_alone(bodies, random, place, within) -> None:
    policy, record = MatchedCrops(SIZE, place, within), bodies[0]
    found = policy.middle(record.shape, record.foreground_box)
    always = MatchedCrops(SIZE, "center" if place == "shared" else place, within)
    expected = next(c for c in always.draw(bodies, random).crops if c.scan == 0)
    assert found == expected
