"""How alike the members of a word are, against two floors: other places, and any patients."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from selfscan.discovery.places import boxes_at
from selfscan.discovery.recipe import DiscoveryRecipe
from selfscan.discovery.search import Embedded, Word
from selfscan.progress import Progress
from selfscan.scans.crops.examples import Crop
from selfscan.scans.crops.reading import read_volume
from selfscan.scans.record import Voxel
from selfscan.scans.words import Box
from selfscan.training.seeds import derive_seed
from selfscan.transforms.intensity import to_unit

Cube = npt.NDArray[np.float32]
COMPARED = 100  # members at most, evenly spread over the ranks


@dataclass(frozen=True)
class Likeness:
    """Mean correlation over pairs of cubes; NaN where there are no pairs.

    Attributes:
        members: Of the word's members.
        other_places: Of the same scans, each at the place of another word.
        any_patients: Of patients drawn at random, at the word's place.
        compared: Cubes of each.
    """

    members: float
    other_places: float
    any_patients: float
    compared: int


def measure_words(
    training: Embedded,
    words: Sequence[Word],
    recipe: DiscoveryRecipe,
    *,
    window_hu: tuple[float, float],
    seed: int,
) -> list[Likeness]:
    """How alike the members of each word are; the arguments are those of `measure_likeness`."""
    measured = []
    with Progress("compare", total=len(words), unit="words") as progress:
        for word in words:
            measured.append(
                measure_likeness(training, words, word, recipe, window_hu=window_hu, seed=seed)
            )
            progress.advance()
    return measured


def measure_likeness(
    training: Embedded,
    words: Sequence[Word],
    word: Word,
    recipe: DiscoveryRecipe,
    *,
    window_hu: tuple[float, float],
    seed: int,
) -> Likeness:
    """Read the base cubes of a word's training members, and as many of each floor.

    Args:
        training: Where the members are.
        words: All words, whose places are the other ones.
        word: The word in question.
        recipe: Size and frame.
        window_hu: CT is clipped to it.
        seed: Of the patients drawn.
    """
    store, grids = training.store, training.grids
    members = [member for member in word.members if member.split == "training"]
    chosen = np.unique(np.linspace(0, len(members) - 1, min(len(members), COMPARED)).round())
    scans = [store.find(members[int(rank)].scan) for rank in chosen]
    here = boxes_at(word.place, grids, recipe)
    fits = np.flatnonzero(here.inside(grids.shapes))
    random = np.random.default_rng(derive_seed(seed, "any patients", word.number))
    shuffled = random.permutation(fits)
    firsts = np.unique(training.patients[shuffled], return_index=True)[1]
    anyone = shuffled[np.sort(firsts)][: len(scans)].tolist()

    elsewhere = [boxes_at(other.place, grids, recipe) for other in words if other is not word]
    inside = [boxes.inside(grids.shapes) for boxes in elsewhere]
    others = []
    for position, scan in enumerate(scans):
        order = [(position + step) % len(elsewhere) for step in range(len(elsewhere))]
        place = next((i for i in order if inside[i][scan]), None)
        if place is not None:
            others.append((scan, elsewhere[place].box(scan)))

    def correlation(places: Iterable[tuple[int, Box]]) -> float:
        return mean_correlation(
            read_cube(training, scan, box, recipe.size, window_hu=window_hu) for scan, box in places
        )

    return Likeness(
        members=correlation((scan, here.box(scan)) for scan in scans),
        other_places=correlation(others),
        any_patients=correlation((scan, here.box(scan)) for scan in anyone),
        compared=len(scans),
    )


def read_cube(
    training: Embedded, scan: int, box: Box, size: Voxel, *, window_hu: tuple[float, float]
) -> Cube:
    """The voxels of a box in [0, 1], (C, *size)."""
    stored = read_volume(training.store, Crop(scan, box.start, size, extent=box.extent))
    channels = torch.tensor([list(training.store[scan].hounsfield)])
    cube: Cube = to_unit(torch.from_numpy(stored)[None], channels, window_hu=window_hu)[0].numpy()
    return cube


def mean_correlation(cubes: Iterable[Cube]) -> float:
    """The mean of Pearson's correlation over all pairs; one cube is in memory at a time.

    The correlation with a cube of one value is 0. The sum over pairs of products of standardized
    cubes is what the square of their sum has more than the sum of their squares.
    """
    total: npt.NDArray[np.float64] | None = None
    squares, count = 0.0, 0
    for cube in cubes:
        centered = cube.ravel().astype(np.float64) - cube.mean(dtype=np.float64)
        length = float(np.linalg.norm(centered))
        standard = centered / length if length > 1e-6 else np.zeros_like(centered)
        total = standard if total is None else total + standard
        squares += float(standard @ standard)
        count += 1
    if total is None or count < 2:
        return float("nan")
    return float((total @ total - squares) / (count * (count - 1)))
