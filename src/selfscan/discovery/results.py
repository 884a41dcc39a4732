"""What a search says of itself: a row a word, the facts, and a line on the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from selfscan.configuration import as_plain
from selfscan.discovery.embedding import Embedder
from selfscan.discovery.likeness import COMPARED, Likeness
from selfscan.discovery.recipe import DiscoveryRecipe, member_count
from selfscan.progress import console
from selfscan.scans.store import Store
from selfscan.scans.words import Side, Words


def word_table(words: Words, likeness: Sequence[Likeness]) -> pd.DataFrame:
    """One row a word."""
    return pd.DataFrame(
        [
            {
                "word": number,
                "reference": origin.reference,
                **dict(zip("xyz", origin.place, strict=True)),
                "members": len(words.of(number, "training")),
                "validation_members": len(words.of(number, "validation")),
                "passed_training": origin.passed_training,
                "passed_validation": origin.passed_validation,
                "correlation": it.members,
                "other_places": it.other_places,
                "any_patients": it.any_patients,
            }
            for number, (origin, it) in enumerate(zip(words.header.origins, likeness, strict=True))
        ]
    )


def search_facts(
    scans: Store,
    stores: Mapping[Side, Store],
    recipe: DiscoveryRecipe,
    embedder: Embedder,
    counts: Counter[str],
    dropped: Sequence[int],
    likeness: Sequence[Likeness],
    seed: int,
) -> dict[str, Any]:
    """How words were found, as `words.json` holds it."""
    checkpoint = embedder.checkpoint
    patients = {side: len(set(store.subjects)) for side, store in stores.items()}
    named = ("references_used", "references_without_place", "references_without_members")
    return {
        "store": str(scans.path),
        "scans_digest": scans.digest(),
        "training_patients": patients["training"],
        "validation_patients": patients["validation"],
        "members": member_count(recipe.members, patients["training"]),
        "validation_members": member_count(recipe.validation_members, patients["validation"]),
        "borders": list(recipe.borders),
        "sides": list(recipe.sides),
        "shifts": list(recipe.shifts),
        "counts": {name: counts[name] for name in (*named, "references_too_small")}
        | {f"{side}_scans": len(store) for side, store in stores.items()},
        "dropped": [{"word": i, "correlation": likeness[i].members} for i in dropped],
        "compared": COMPARED,
        "recipe": as_plain(recipe),
        "embedder": {
            "digest": embedder.digest,
            "steps": checkpoint.steps,
            "crop_size": list(checkpoint.crop_size),
            "backbone": as_plain(checkpoint.backbone),
            "features": embedder.model.backbone.encoder_pyramid.channels[-1],
        },
        "license_note": checkpoint.license_note,
        "seed": seed,
    }


def tell_words(words: Words, table: pd.DataFrame, counts: Counter[str], page: Path) -> None:
    """Print how many words there are, how alike, and what was passed over."""
    means = table[["correlation", "other_places", "any_patients"]].mean()
    passed = table[["passed_training", "passed_validation"]].sum()
    console.print(
        f"{len(words)} words; members correlate by {means['correlation']:.3f}, at other places by "
        f"{means['other_places']:.3f}, in any patients by {means['any_patients']:.3f}; passed over "
        f"{passed['passed_training']} training and {passed['passed_validation']} held-out scans; "
        f"{counts['references_used']} references used, {counts['references_too_small']} scans too "
        f"small for one\nreport: {page}",
        highlight=False,
        soft_wrap=True,
    )
