"""Every constant of the search for visual words; defaults are those of TransVW's release."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from selfscan.scans.crops.places import require_size
from selfscan.scans.record import Voxel
from selfscan.scans.words import Frame

References = Literal["exclusive", "shared"]
CropFilter = Literal["foreground_fraction", "air_dominated"]
_BORDERS = {"voxel": (100.0, 100.0, 30.0), "body": (100 / 512, 100 / 512, 30 / 200)}
_CUBE, _SIDE, _SHIFT = 64, (50, 79), (-10, 9)  # published: of a cube, and of what is drawn for it


@dataclass(frozen=True)
class DiscoveryRecipe:
    """How many words are looked for, where, and what a member of one is.

    Source: Haghighi et al., "Transferable Visual Words", IEEE TMI 40(10), 2021, arXiv 2102.10680,
    and its release, which is `frame="voxel"` with `crop_filter="air_dominated"`: chest CT of one
    field of view. The defaults of these two are made for other anatomy and MR.

    Attributes:
        words: How many.
        members: Scans of a word to learn from; below 1, the share of the training patients.
        validation_members: Held-out scans of a word; below 1, the share of the held-out patients.
        size: Voxels of a cube along (X, Y, Z).
        frame: `voxel`: a word lies at the same voxel in every scan (published), fit for scans of
            one field of view and spacing. `body`: its middle lies at the same fraction of the box
            around the body, and it covers as many mm as in its reference.
        border: What no cube touches at both ends of an axis of its reference, in voxels of the
            scan, or as a share of the box around the body; None is (100, 100, 30) voxels, or the
            same shares of 512 x 512 x 200.
        margin: Voxels behind a cube along Z that are kept clear too.
        min_distance: Between the places of two words, in voxels; in the frame `body`, in voxels of
            a body of median size.
        tries: Places drawn in a reference before another is taken.
        references: `exclusive` draws a new reference for each word (published), `shared` takes all
            places in one.
        crop_filter: What a cube must look like in the reference. `foreground_fraction`: so much of
            it lies in the body. `air_dominated`: mostly air, in practice lung (published); CT only.
        foreground: Least and most share of a cube in the body.
        tissue_hu: Where tissue begins, for `air_dominated`.
        most_tissue: Mean tissue score above which `air_dominated` refuses a cube.
        jitter: Jittered boxes of each training member.
        jitter_side: Shortest and longest edge of a jittered box along X, in voxels; that along Y
            keeps the proportion of the cube, that along Z is as it was. None is 50 to 79 of 64.
        jitter_shift: Least and most shift of a jittered box's first voxel along X and Y, in voxels;
            None is -10 to 9 of 64.
        least_correlation: Words whose members correlate less, as a mean over pairs, are dropped;
            None keeps all.
    """

    words: int = 44
    members: float = 200
    validation_members: float = 30
    size: Voxel = (64, 64, 32)
    frame: Frame = "body"
    border: tuple[float, float, float] | None = None
    margin: int = 3
    min_distance: float = 5.0
    tries: int = 200
    references: References = "exclusive"
    crop_filter: CropFilter = "foreground_fraction"
    foreground: tuple[float, float] = (0.5, 1.0)
    tissue_hu: float = -150.0
    most_tissue: float = 0.15
    jitter: int = 2
    jitter_side: tuple[int, int] | None = None
    jitter_shift: tuple[int, int] | None = None
    least_correlation: float | None = None

    def __post_init__(self) -> None:
        """Refuse values without a meaning."""
        require_size(self.size)
        for name, least in (("words", 1), ("tries", 1), ("margin", 0), ("jitter", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        for name in ("members", "validation_members"):
            value = getattr(self, name)
            if value <= 0 or (value > 1 and value % 1):
                raise ValueError(
                    f"{name} must be a whole number, or a share between 0 and 1, got {value:g}"
                )
        for name, allowed in (
            ("frame", get_args(Frame)),
            ("references", get_args(References)),
            ("crop_filter", get_args(CropFilter)),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}"
                )
        if min(self.borders) < 0 or (self.frame == "body" and max(self.borders) >= 0.5):
            most = "" if self.frame == "voxel" else ", and below 0.5 of the body"
            raise ValueError(f"border must be three lengths of at least 0{most}, got {self.border}")
        if self.min_distance < 0:
            raise ValueError(f"min_distance must not be negative, got {self.min_distance}")
        low, high = self.foreground
        if not 0 <= low <= high <= 1:
            raise ValueError(f"foreground must rise within 0 to 1, got {self.foreground}")
        if not 0 <= self.most_tissue <= 1:
            raise ValueError(f"most_tissue must be within 0 to 1, got {self.most_tissue}")
        if not 1 <= self.sides[0] <= self.sides[1]:
            raise ValueError(f"jitter_side must rise from 1 or more, got {self.jitter_side}")
        if self.shifts[0] > self.shifts[1]:
            raise ValueError(f"jitter_shift must rise, got {self.jitter_shift}")
        if self.least_correlation is not None and not -1 <= self.least_correlation <= 1:
            raise ValueError(
                f"least_correlation must be within -1 to 1, got {self.least_correlation}"
            )

    @property
    def borders(self) -> tuple[float, float, float]:
        """The border at both ends of (X, Y, Z), in voxels or as shares of the body."""
        return self.border if self.border is not None else _BORDERS[self.frame]

    @property
    def sides(self) -> tuple[int, int]:
        """Shortest and longest edge of a jittered box along X, in voxels."""
        return self.jitter_side or self._in_proportion(_SIDE)

    @property
    def shifts(self) -> tuple[int, int]:
        """Least and most shift of a jittered box along X and Y, in voxels."""
        return self.jitter_shift or self._in_proportion(_SHIFT)

    def _in_proportion(self, published: tuple[int, int]) -> tuple[int, int]:
        low, high = (round(edge * self.size[0] / _CUBE) for edge in published)
        return low, high


def member_count(members: float, patients: int) -> int:
    """How many members: the number itself, or a share of the patients, at least 1."""
    return int(members) if members >= 1 else max(round(members * patients), 1)
