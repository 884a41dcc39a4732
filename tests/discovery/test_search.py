"""The search: what every word promises, and what is passed over, counted or refused."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, combinations
from typing import Any

import numpy as np
import pytest
import torch
from patients_store import write_store

from selfscan.discovery.neighbors import nearest
from selfscan.discovery.places import distance
from selfscan.discovery.recipe import DiscoveryRecipe
from selfscan.discovery.search import Embedded, find_words, require_enough
from selfscan.errors import SelfscanError
from selfscan.scans.store import Store
from selfscan.scans.words import Words, WordsHeader

RECIPE = DiscoveryRecipe(
    words=4,
    members=5,
    validation_members=2,
    size=(6, 6, 4),
    border=(0.1, 0.1, 0.1),
    margin=1,
    min_distance=3.0,
)
# Scans 8 and 9 are of one patient.
SUBJECTS = [f"patient-{min(number, 8) if number < 10 else number}" for number in range(14)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return write_store(tmp_path_factory.mktemp("store"), subjects=SUBJECTS)


def sides(store: Store, *, seed: int = 0) -> tuple[Embedded, Embedded]:
    """Scans 0 to 10 to learn from, 11 to 13 to validate on, with random embeddings."""
    random = torch.Generator().manual_seed(seed)
    parts = store.select(ids=store.ids[:11]), store.select(ids=store.ids[11:])
    training, validation = (torch.randn(len(part), 8, generator=random) for part in parts)
    return Embedded("training", parts[0], training), Embedded("validation", parts[1], validation)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"frame": "voxel", "border": (4, 4, 3)},
        {"references": "shared", "min_distance": 2.0},
        {"crop_filter": "air_dominated", "most_tissue": 0.9, "frame": "voxel", "border": (0, 0, 0)},
    ],
)
def test_what_every_word_promises(store: Store, changes: dict[str, Any]) -> None:
    recipe = replace(RECIPE, **changes)
    training, validation = sides(store)
    words = find_words(training, validation, recipe, seed=3).words
    assert [word.number for word in words] == [0, 1, 2, 3]
    references = [word.origin.reference for word in words]
    assert len(set(references)) == (1 if recipe.references == "shared" else 4)
    for word in words:
        reference = training.store.find(word.origin.reference)
        learned = [member for member in word.members if member.split == "training"]
        held = [member for member in word.members if member.split == "validation"]
        for side, members, count in ((training, learned, 5), (validation, held, 2)):
            assert [member.rank for member in members] == list(range(count))
            distances = [member.distance for member in members]
            assert distances == sorted(distances)
            subjects = [side.store[side.store.find(member.scan)].subject for member in members]
            assert len(set(subjects)) == count
        assert learned[0].scan == word.origin.reference
        assert learned[0].distance == 0
        assert all(len(member.jitter) == 2 for member in learned)
        assert not any(member.jitter for member in held)
        # Nobody nearer was left out but those who were counted as passed.
        last = nearest(training.embeddings[reference][None], training.embeddings, 11)
        nearer = last[0][0, : 5 + word.origin.passed_training].tolist()
        assert {training.store.find(member.scan) for member in learned} <= set(nearer)
    for one, other in combinations(words, 2):
        apart = distance(one.place, other.place, training.grids.bodies, recipe)
        assert apart >= recipe.min_distance
    members = tuple(member for word in words for member in word.members)
    header = WordsHeader(
        recipe.size, recipe.frame, store.contract.spacing, store.contract.digest(), "", ()
    )
    Words(header, members).check(store)  # every box lies inside its scan


def test_equal_seeds_give_equal_words_and_others_others(store: Store) -> None:
    first, again, other = (find_words(*sides(store), RECIPE, seed=seed).words for seed in (1, 1, 2))
    assert first == again
    assert [word.origin for word in first] != [word.origin for word in other]


def test_fewer_words_are_the_first_of_more(store: Store) -> None:
    few = find_words(*sides(store), replace(RECIPE, words=2), seed=1).words
    assert few == find_words(*sides(store), RECIPE, seed=1).words[:2]


def test_scans_that_cannot_hold_a_box_are_passed_and_counted(store: Store) -> None:
    """Cubes of 20 voxels in scans of 22 to 26: where one starts, a short scan may end too soon."""
    training, validation = sides(store)
    recipe = replace(RECIPE, frame="voxel", size=(20, 6, 4), border=(0, 4, 3), members=4, jitter=0)
    words = [find_words(training, validation, recipe, seed=seed).words for seed in range(5)]
    total = 0
    for word in chain(*words):
        learned = [member for member in word.members if member.split == "training"]
        reference = training.store.find(word.origin.reference)
        order = nearest(training.embeddings[reference][None], training.embeddings, 11)[0][0]
        looked_at = order[: len(learned) + word.origin.passed_training].tolist()
        members = [training.store.find(member.scan) for member in learned]
        assert members[-1] == looked_at[-1]
        met = {training.store[scan].subject for scan in members}
        for scan in set(looked_at) - set(members):
            record = training.store[scan]
            assert record.shape[0] < word.place.position[0] + 20 or record.subject in met
            total += 1
    assert total > 0


def test_a_patient_has_one_scan_in_a_word(store: Store) -> None:
    training, validation = sides(store)
    training.embeddings[9] = training.embeddings[8]  # the two scans of one patient
    recipe = replace(RECIPE, members=10, jitter=0, words=1)
    word = find_words(training, validation, recipe, seed=0).words[0]
    scans = {member.scan for member in word.members}
    assert len({"scan-08", "scan-09"} & scans) == 1
    assert word.origin.passed_training <= 1


def test_scans_too_small_to_be_a_reference_are_counted(store: Store) -> None:
    training, validation = sides(store)
    lengths = training.store.shapes[:, 0]
    border = int(np.median(lengths) - 6 - 1) // 2
    recipe = replace(RECIPE, frame="voxel", border=(border, 0, 0), words=2, members=3)
    found = find_words(training, validation, recipe, seed=0)
    small = {id for id, n in zip(training.store.ids, lengths, strict=True) if n < 2 * border + 7}
    assert small
    assert found.counts["references_too_small"] == len(small)
    assert not small & {word.origin.reference for word in found.words}


def test_more_is_asked_for_than_there_is(store: Store) -> None:
    training, validation = (side.store for side in sides(store))
    require_enough(training, validation, RECIPE)
    for changes, message in (
        ({"members": 11}, "found 10 patients for the 11 members of a word; expected as many"),
        ({"validation_members": 4}, "found 3 patients for the 4 validation_members of a word"),
        ({"words": 12}, "found 11 of 11 scans large enough .* expected 12, one for each word"),
        ({"size": (64, 64, 32)}, "found 0 of 11 scans large enough"),
        ({"size": (64, 64, 32), "references": "shared"}, "expected 1, one for each word"),
    ):
        with pytest.raises(SelfscanError, match=message):
            require_enough(training, validation, replace(RECIPE, **changes))


def test_references_that_run_out_end_the_search(store: Store) -> None:
    with pytest.raises(
        SelfscanError,
        match=r"found 0 of 4 words before all 11 references were used up: 11 had no place",
    ):
        find_words(*sides(store), replace(RECIPE, foreground=(0.0, 0.0), tries=5), seed=0)
    with pytest.raises(SelfscanError, match="; 11 had one that too few scans can hold"):
        find_words(*sides(store), replace(RECIPE, jitter_side=(40, 40), tries=2), seed=0)
