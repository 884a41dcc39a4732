"""The published crops of Models Genesis: CT, mostly air and lung (method page, section 2)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from selfscan.errors import SelfscanError
from selfscan.scans.crops.examples import Crop, Example
from selfscan.scans.record import Voxel
from selfscan.scans.store import Store

BORDER: Voxel = (100, 100, 30)  # voxels at each end of an axis that no crop touches
TISSUE = 0.425  # of the window: -150 HU in [-1000, 1000]
MOST_TISSUE = 0.15  # mean tissue score above which a crop is refused
ATTEMPTS = 1600  # crops tried in one scan
_DEPTH = 3  # slices behind the crop that the release reads along with it
_SCANS = 16  # scans tried for one example


@dataclass(frozen=True)
class LungCrops:
    """One crop that holds little more than air and lung, from a CT with a wide border.

    A start is drawn uniformly, at least 100 voxels in plane and 30 slices from every border, until
    the mean tissue score is at most 0.15. A voxel scores 1 if it is tissue, 1/2 if only the voxel
    above it is. After 1,600 refusals another scan is drawn, as the release keeps nothing of such a
    scan. Scans that are no CT or too small are never drawn: 265 x 265 x 96 voxels are needed for
    crops of 64 x 64 x 32. A crop may be all air; the release accepts that too.

    Source: Zhou et al., "Models Genesis", MICCAI 2019, and its release. The release freezes 32
    crops a scan before training; here they are drawn as training asks.

    Attributes:
        size: Voxels along (X, Y, Z).
        window_hu: The range in which tissue starts at 42.5 %.
    """

    size: Voxel = (64, 64, 32)
    window_hu: tuple[float, float] = (-1000.0, 1000.0)

    def __post_init__(self) -> None:
        """Refuse values without a meaning."""
        if len(self.size) != 3 or min(self.size) < 1:
            raise ValueError(f"size must be three lengths of 1 voxel or more, got {self.size}")
        if self.window_hu[0] >= self.window_hu[1]:
            raise ValueError(f"window_hu must rise, got {self.window_hu}")

    def check(self, store: Store) -> None:
        """Refuse a store without a CT that is large enough.

        Raises:
            SelfscanError: No scan can hold such a crop; says what was found and needed.
        """
        if not len(_usable(store, self.size)):
            raise SelfscanError(
                f"{store.path}: found {store.hounsfield[:, 0].sum()} CT scans among {len(store)}, "
                f"the largest axes {tuple(store.shapes.max(axis=0).tolist())}; lung crops of "
                f"{self.size} need a CT of at least {tuple(_smallest(self.size).tolist())} voxels; "
                "use foreground crops"
            )

    def draw(self, store: Store, random: np.random.Generator) -> Example:
        """One crop that the rule accepts.

        Raises:
            SelfscanError: Sixteen scans were tried 1,600 times each in vain.
        """
        usable = _usable(store, self.size)
        low, high = self.window_hu
        threshold = low + TISSUE * (high - low)
        for _ in range(_SCANS):
            scan = int(usable[random.integers(len(usable))])
            last = np.array(store.shape(scan)) - _smallest(self.size) + BORDER
            for _ in range(ATTEMPTS):
                x, y, z = random.integers(BORDER, last, endpoint=True).tolist()
                # Of the slices behind the crop only the first can change the score.
                extended = (self.size[0], self.size[1], self.size[2] + 1)
                if tissue_score(store.read(scan, (x, y, z), extended)[0], threshold) <= MOST_TISSUE:
                    return Example((Crop(scan, (x, y, z), self.size),))
        raise SelfscanError(
            f"{store.path}: found no crop of {self.size} with at most {MOST_TISSUE:.0%} tissue in "
            f"{_SCANS} scans, {ATTEMPTS} tries each; lung crops need scans of the chest; "
            "use foreground crops"
        )


def tissue_score(window: npt.NDArray[np.int16], threshold: float) -> float:
    """The mean tissue score of the crop window[:, :, :-1]: 1 where tissue, 1/2 where next to it."""
    tissue = window >= threshold
    here, above = tissue[:, :, :-1], tissue[:, :, 1:]
    return float((here.mean() + (here | above).mean()) / 2)


def _smallest(size: Voxel) -> npt.NDArray[np.int64]:
    """The smallest scan with a place for a crop: 265 x 265 x 96 for 64 x 64 x 32."""
    borders = 2 * np.array(BORDER) + (1, 1, _DEPTH + 1)
    return np.add(size, borders, dtype=np.int64)


@lru_cache(maxsize=16)
def _usable(store: Store, size: Voxel) -> npt.NDArray[np.int64]:
    large = np.all(store.shapes >= _smallest(size), axis=1)
    usable: npt.NDArray[np.int64] = np.flatnonzero(large & store.hounsfield[:, 0])
    return usable
