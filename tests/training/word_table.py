"""Two visual words of the small labelled store: the ball and the bar of each scan."""

from __future__ import annotations

from pathlib import Path

from selfscan.scans.store import Store
from selfscan.scans.words import Box, Member, WordOrigin, Words, WordsHeader

SIZE = (16, 16, 16)
PLACES = ((0, 2, 0), (8, 2, 0))


def write_words(store: Path, out: Path, *, words: int = 2) -> Path:
    """Words of the scans that pre-training may see: two to learn from, one to validate on."""
    source = Store(store)
    header = WordsHeader(
        size=SIZE,
        frame="voxel",
        spacing=source.contract.spacing,
        contract=source.contract.digest(),
        store=source.digest(),
        origins=tuple(WordOrigin("scan-0", (0.0, 0.0, 0.0)) for _ in range(words)),
    )
    members = [
        Member(
            word,
            "training" if number < 2 else "validation",
            f"scan-{number}",
            source[source.find(f"scan-{number}")].volume_digest,
            number % 2,
            0.0,
            Box(PLACES[word % 2], SIZE),
            (Box(PLACES[word % 2], (14, 14, 16)),) if number < 2 else (),
        )
        for word in range(words)
        for number in range(3)
    ]
    return Words(header, tuple(members)).write(out)
