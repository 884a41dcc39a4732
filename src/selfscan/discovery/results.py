"""What a search leaves: the words, a row of each, the facts, and a line on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from selfscan.configuration import as_plain
from selfscan.discovery.embedding import Embedder
from selfscan.discovery.likeness import COMPARED, Likeness
from selfscan.discovery.recipe import DiscoveryRecipe, member_count
from selfscan.discovery.search import Word
from selfscan.progress import console
from selfscan.scans.store import Store
from selfscan.scans.words import Side, Words, WordsHeader

COUNTED = (
    "references_used",
    "references_without_place",
    "references_without_members",
    "references_too_small",
)


def settle(
    found: Sequence[Word],
    store: Store,
    recipe: DiscoveryRecipe,
    *,
    scans: str,
    counts: Mapping[str, int],
    seed: int,
    embedder: str,
) -> Words:
    """The words as they are kept, numbered anew from 0 where some were dropped.

    Args:
        found: Those that stay.
        store: All scans of the store.
        recipe: Every constant.
        scans: Digest of the scans that were searched.
        counts: Of scans and references, by name.
        seed: Of all draws.
        embedder: Digest of the weights that described the scans.
    """
    header = WordsHeader(
        size=recipe.size,
        frame=recipe.frame,
        spacing=store.contract.spacing,
        contract=store.contract.digest(),
        store=scans,
        origins=tuple(word.origin for word in found),
        constants=as_plain(recipe),
        counts=counts,
        seed=seed,
        embedder=embedder,
        version=version("selfscan"),
    )
    return Words(
        header,
        tuple(
            replace(member, word=label)
            for label, word in enumerate(found)
            for member in word.members
        ),
    )


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
    *,
    seed: int,
) -> dict[str, Any]:
    """How words were found, as `words.json` holds it."""
    checkpoint = embedder.checkpoint
    patients = {side: len(set(store.subjects)) for side, store in stores.items()}
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


def tell_words(table: pd.DataFrame, counts: Mapping[str, int], page: Path) -> None:
    """Print how many words there are, how alike, and what was passed over."""
    means = table[["correlation", "other_places", "any_patients"]].mean()
    passed = table[["passed_training", "passed_validation"]].sum()
    console.print(
        f"{len(table)} words; members correlate by {means['correlation']:.3f}, at other places by "
        f"{means['other_places']:.3f}, in any patients by {means['any_patients']:.3f}; passed over "
        f"{passed['passed_training']} training and {passed['passed_validation']} held-out scans; "
        f"{counts['references_used']} references used, {counts['references_too_small']} scans too "
        f"small for one\nreport: {page}",
        highlight=False,
        soft_wrap=True,
    )
