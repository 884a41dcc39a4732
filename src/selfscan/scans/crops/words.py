"""Crops at visual words: the boxes of a table in place of random ones, for any policy that can."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import numpy as np
import numpy.typing as npt

from selfscan.scans.crops.examples import AnchoredPolicy, Crop, CropPolicy, Example
from selfscan.scans.record import Voxel
from selfscan.scans.store import Store
from selfscan.scans.words import Words

WORD = "word"  # the extra that holds the words of an example's crops
NO_WORD = -1  # of a crop that lies at no word


@dataclass(frozen=True, eq=False)
class VisualWordCrops:
    """The examples of another policy, laid at visual words.

    Each box is drawn uniformly from all of the words whose scans the store has, and independently:
    of the members to learn from as it was found and as often as it was jittered, of those to
    validate on as it was found. The extra `word`, (K,), names the word of each of the K crops, -1
    where a crop lies at none.

    Source: Haghighi et al., "Transferable Visual Words", IEEE TMI 2021; its release pools the base
    cubes and both jittered copies and shuffles all of them, where here draws are independent.

    Attributes:
        words: Where the words are.
        policy: What an example is; an `AnchoredPolicy`.
    """

    words: Words
    policy: CropPolicy

    def __post_init__(self) -> None:
        """Refuse a policy that chooses places by itself.

        Raises:
            ValueError: It is no `AnchoredPolicy`.
        """
        if not isinstance(self.policy, AnchoredPolicy):
            kind = type(self.policy)
            raise ValueError(
                f"visual words say where crops lie, which {kind.__name__} decides by itself "
                f"({(kind.__doc__ or '').splitlines()[0].rstrip('.')}); choose a method, or a "
                "crop_policy of the method, whose crops may lie anywhere in a scan"
            )

    def check(self, store: Store) -> None:
        """Refuse a store in which the boxes do not mean what they did when words were found.

        Raises:
            SelfscanError: It holds none of their scans, or was prepared another way.
        """
        self.words.within(store).check(store)
        self.policy.check(store)

    def draw(self, store: Store, random: np.random.Generator) -> Example:
        """An example at as many boxes as its policy lays crops at."""
        # A cast, as to look for a protocol's methods takes longer than all else here.
        policy = cast(AnchoredPolicy, self.policy)
        pool, laid = _pool(self, store), list(policy.anchored)
        places = random.integers(len(pool), size=len(laid))
        anchors = [pool.anchor(place, self.words.header.size) for place in places.tolist()]
        example = policy.draw_at(store, anchors, random)
        words = np.full(len(example.crops), NO_WORD, dtype=np.int64)
        words[laid] = pool.words[places]
        return Example(example.crops, {**example.extras, WORD: words})


@dataclass(frozen=True)
class _Pool:
    """All boxes to draw from: their words (N,), scans (N,), first voxels and extents (N, 3)."""

    words: npt.NDArray[np.int64]
    scans: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    extents: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.words)

    def anchor(self, place: int, size: Voxel) -> Crop:
        x, y, z = self.starts[place].tolist()
        i, j, k = self.extents[place].tolist()
        return Crop(int(self.scans[place]), (x, y, z), size, extent=(i, j, k))


# Both sides of a run, each in the processes that read it.
@lru_cache(maxsize=4)
def _pool(crops: VisualWordCrops, store: Store) -> _Pool:
    boxes = [
        (member.word, store.find(member.scan), box)
        for member in crops.words.within(store).members
        for box in (member.box, *(member.jitter if member.split == "training" else ()))
    ]
    return _Pool(
        np.array([word for word, _, _ in boxes]),
        np.array([scan for _, scan, _ in boxes]),
        np.array([box.start for _, _, box in boxes]),
        np.array([box.extent for _, _, box in boxes]),
    )
