"""The search for visual words: a place in a reference, and the patients most like it around it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
from torch import Tensor

from selfscan.discovery.filters import Accepts, crop_filter
from selfscan.discovery.jitter import draw_jitter
from selfscan.discovery.neighbors import walk
from selfscan.discovery.places import (
    Boxes,
    Grids,
    Place,
    boxes_at,
    distance,
    place_of,
    start_ranges,
)
from selfscan.discovery.recipe import DiscoveryRecipe, member_count
from selfscan.errors import SelfscanError
from selfscan.scans.crops.places import voxel
from selfscan.scans.store import Store
from selfscan.scans.words import Box, Member, Side, WordOrigin
from selfscan.training.seeds import derive_seed


@dataclass(frozen=True, eq=False)
class Embedded:
    """The scans of one side, and a vector of each.

    Attributes:
        split: Whether they are to learn from or to validate on.
        store: The scans, sorted by id.
        embeddings: (N, F), float32, in main memory.
    """

    split: Side
    store: Store
    embeddings: Tensor

    @cached_property
    def grids(self) -> Grids:
        """What decides where words lie in them."""
        return Grids.of(self.store)

    @cached_property
    def patients(self) -> npt.NDArray[np.int64]:
        """The number of each scan's patient, (N,)."""
        return self.store.patients


@dataclass(frozen=True)
class Word:
    """A word that was found.

    Attributes:
        number: Its number in the search.
        place: Where it lies.
        origin: Where it comes from.
        members: Those to learn from by rank, then those to validate on.
    """

    number: int
    place: Place
    origin: WordOrigin
    members: tuple[Member, ...]


@dataclass
class Search:
    """What was found, and how often something was in the way.

    Attributes:
        words: In the order in which they were found.
        counts: `references_used`, and of these `references_without_place` and
            `references_without_members`; `references_too_small` were never drawn.
    """

    words: list[Word] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def require_enough(training: Store, validation: Store, recipe: DiscoveryRecipe) -> None:
    """Refuse a recipe that these scans cannot fill, before anything is computed.

    Raises:
        SelfscanError: Fewer patients than a word has members, or fewer references than words.
    """
    for name, store, members in (
        ("members", training, recipe.members),
        ("validation_members", validation, recipe.validation_members),
    ):
        patients = len(set(store.subjects))
        if member_count(members, patients) > patients:
            raise SelfscanError(
                f"{store.path}: found {patients} patients for the {members:g} {name} of a word; "
                f"expected as many patients at least; lower recipe.{name}, or give a share below 1"
            )
    first, last = start_ranges(Grids.of(training), recipe)
    usable = int((last >= first).all(axis=1).sum())
    needed = recipe.words if recipe.references == "exclusive" else 1
    if usable < needed:
        raise SelfscanError(
            f"{training.path}: found {usable} of {len(training)} scans large enough to be a "
            f"reference of a cube of {recipe.size} voxels between borders of {recipe.borders}; "
            f"expected {needed}, one for each word; lower recipe.words, recipe.size or "
            "recipe.border, or share one reference (recipe.references shared)"
        )
    crop_filter(training, recipe)


def find_words(
    training: Embedded, validation: Embedded, recipe: DiscoveryRecipe, *, seed: int
) -> Search:
    """Search until there are as many words as the recipe asks for.

    Every draw has a key: the reference its place in one order of the training scans, a place (word,
    scan id), a jittered box (word, scan id, copy).

    Args:
        training: What references and members come from.
        validation: What held-out members come from; other patients.
        recipe: Every constant.
        seed: Of all draws.

    Raises:
        SelfscanError: No reference is left.
    """
    ranges = start_ranges(training.grids, recipe)
    usable = np.flatnonzero((ranges[1] >= ranges[0]).all(axis=1))
    random = np.random.default_rng(derive_seed(seed, "references"))
    fresh = iter(random.permutation(usable).tolist())
    search = Search()
    search.counts["references_too_small"] = len(training.store) - len(usable)
    accepts = crop_filter(training.store, recipe)
    sides = (training, validation)
    reference = None
    while len(search.words) < recipe.words:
        if reference is None or recipe.references == "exclusive":
            reference = next(fresh, None)
            if reference is None:
                raise _exhausted(training.store, len(usable), search, recipe)
            search.counts["references_used"] += 1
        word = _find_word(sides, reference, ranges, accepts, search, recipe, seed=seed)
        if word is not None:
            search.words.append(word)
        elif recipe.references == "shared":
            search.words.clear()
            reference = None
    return search


def _find_word(
    sides: tuple[Embedded, Embedded],
    reference: int,
    ranges: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    accepts: Accepts,
    search: Search,
    recipe: DiscoveryRecipe,
    *,
    seed: int,
) -> Word | None:
    """The next word in this reference, or None, counted."""
    training, number = sides[0], len(search.words)
    record = training.store[reference]
    random = np.random.default_rng(derive_seed(seed, "place", number, record.id))
    first, last = ranges[0][reference], ranges[1][reference]
    bodies, taken = training.grids.bodies, [word.place for word in search.words]
    crowded = 0
    for _ in range(recipe.tries):
        start = random.integers(first, last, endpoint=True)
        place = place_of(start, training.grids, reference, recipe)
        if any(distance(place, other, bodies, recipe) < recipe.min_distance for other in taken):
            continue
        if not accepts(reference, Box(voxel(start), recipe.size)):
            continue
        boxes = [boxes_at(place, side.grids, recipe) for side in sides]
        members, passed = [], []
        for side, those in zip(sides, boxes, strict=True):
            first_member = reference if side is training else None
            query = training.embeddings[reference]
            found = _members(side, those, query, number, recipe, first=first_member, seed=seed)
            members += found[0]
            passed.append(found[1])
        if None in passed:
            crowded += 1
            continue
        origin = WordOrigin(record.id, place.position, *(n for n in passed if n is not None))
        return Word(number, place, origin, tuple(members))
    why = "references_without_members" if crowded else "references_without_place"
    search.counts[why] += 1
    return None


def _members(
    side: Embedded,
    boxes: Boxes,
    query: Tensor,
    word: int,
    recipe: DiscoveryRecipe,
    *,
    first: int | None,
    seed: int,
) -> tuple[list[Member], int | None]:
    """The nearest scans that can hold every box, one a patient, and how many were passed.

    The latter is None where there are too few.
    """
    learned = side.split == "training"
    wanted = recipe.members if learned else recipe.validation_members
    count = member_count(wanted, int(side.patients.max()) + 1)
    inside = boxes.inside(side.grids.shapes)
    members: list[Member] = []
    if len(np.unique(side.patients[inside])) < count:
        return members, None
    passed, met = 0, set()
    ahead = max(2 * count, 64)
    for scan, apart in walk(query, side.embeddings, first=first, ahead=ahead):
        record, patient = side.store[scan], int(side.patients[scan])
        jitter: Sequence[Box | None] = ()
        if inside[scan] and patient not in met and learned:
            x, y, z = boxes.zooms[scan].tolist()
            jitter = [
                draw_jitter(
                    boxes.box(scan),
                    record.shape,
                    (x, y, z),
                    recipe,
                    seed=seed,
                    key=(word, record.id, copy),
                )
                for copy in range(recipe.jitter)
            ]
        if not inside[scan] or patient in met or None in jitter:
            if scan == first:
                return [], None  # a reference is a member of its word
            passed += 1
            continue
        met.add(patient)
        members.append(
            Member(
                word=word,
                split=side.split,
                scan=record.id,
                volume_digest=record.volume_digest,
                rank=len(members),
                distance=apart,
                box=boxes.box(scan),
                jitter=tuple(box for box in jitter if box is not None),
            )
        )
        if len(members) == count:
            return members, passed
    return members, None


def _exhausted(store: Store, usable: int, search: Search, recipe: DiscoveryRecipe) -> SelfscanError:
    counts = search.counts
    return SelfscanError(
        f"{store.path}: found {len(search.words)} of {recipe.words} words before all {usable} "
        f"references were used up: {counts['references_without_place']} had no place that the crop "
        f"filter {recipe.crop_filter} takes, at least {recipe.min_distance:g} voxels from others; "
        f"{counts['references_without_members']} had one that too few scans can hold; expected "
        "words enough; lower recipe.words, members, border or min_distance, or change the crop "
        "filter, and give the trained auto-encoder again with --embedder"
    )
