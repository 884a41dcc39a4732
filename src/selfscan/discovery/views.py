"""Members of a word to look at."""

from __future__ import annotations

import numpy as np

from selfscan.discovery.likeness import read_cube
from selfscan.discovery.recipe import DiscoveryRecipe
from selfscan.discovery.search import Embedded, Word
from selfscan.discovery.word_picture import Shown
from selfscan.scans.words import Member, Side

_MOST: dict[Side, int] = {"training": 6, "validation": 2}


def shown_members(
    word: Word,
    sides: dict[Side, Embedded],
    recipe: DiscoveryRecipe,
    window_hu: tuple[float, float],
) -> list[Shown]:
    """The first channel of members evenly spread over the ranks."""
    shown = []
    for split, most in _MOST.items():
        members = [member for member in word.members if member.split == split]
        ranks = np.unique(np.linspace(0, len(members) - 1, min(len(members), most)).round())
        for member in (members[int(rank)] for rank in ranks):
            side = sides[member.split]
            cube = read_cube(
                side, side.store.find(member.scan), member.box, recipe.size, window_hu=window_hu
            )
            shown.append(Shown(_title(member), cube[0]))
    return shown


def _title(member: Member) -> str:
    if member.split == "validation":
        return "held out"
    return f"rank {member.rank}" if member.rank else "reference"
