"""The page of `discover`: each word across patients, and how alike its members are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from selfscan.discovery.likeness import Likeness
from selfscan.discovery.word_picture import Shown, draw_word
from selfscan.evaluation.facts import day_of, size_text
from selfscan.evaluation.page import plot, render_page
from selfscan.evaluation.slices import Spacing
from selfscan.files import written_atomically
from selfscan.scans.words import WordOrigin, Words

_DOTS = 90  # of cubes of a few dozen voxels; there may be many words


@dataclass(frozen=True, eq=False)
class WordView:
    """What the page shows of a word.

    Attributes:
        likeness: How alike its members are.
        shown: Members to show.
        spacing: Of the reference, in mm.
    """

    likeness: Likeness
    shown: Sequence[Shown]
    spacing: Spacing


def write_page(
    words: Words, views: Sequence[WordView], facts: Mapping[str, Any], folder: Path
) -> Path:
    """Write `words.html`.

    Args:
        words: What was found.
        views: One a word.
        facts: What `words.json` holds.
        folder: Where the page goes.
    """
    rows = [
        _row(number, origin, view.likeness)
        for number, (origin, view) in enumerate(zip(words.header.origins, views, strict=True))
    ]
    means = {
        name: _mean([row[name] for row in rows])
        for name in ("members", "other_places", "any_patients")
    }
    values = {
        "means": means,
        "alike": sum(row["members"] > row["any_patients"] for row in rows),
        "rows": rows,
        "pictures": [
            plot(
                draw_word(view.shown, view.spacing),
                alt=_alt(number, view),
                caption=f"Word {number}, found in {origin.reference}: correlation of members "
                f"{view.likeness.members:.2f}.",
                dots_per_inch=_DOTS,
            )
            for number, (origin, view) in enumerate(zip(words.header.origins, views, strict=True))
        ],
        "facts": {
            "store": PurePath(facts["store"]).name,
            "date": day_of(facts["date"]),
            "versions": facts["versions"],
            "words": len(words),
            "training": facts["training_patients"],
            "validation": facts["validation_patients"],
            "dropped": len(facts["dropped"]),
        },
        "how": _how(facts),
    }
    path = folder / "words.html"
    with written_atomically(path) as temporary:
        page = render_page("words.html.j2", values, folder=Path(__file__).parent)
        temporary.write_text(page, encoding="utf-8")
    return path


def _row(number: int, origin: WordOrigin, likeness: Likeness) -> dict[str, Any]:
    return {
        "word": number,
        "reference": origin.reference,
        "place": ", ".join(f"{value:.3g}" for value in origin.place),
        "members": likeness.members,
        "other_places": likeness.other_places,
        "any_patients": likeness.any_patients,
        "passed_training": origin.passed_training,
        "passed_validation": origin.passed_validation,
    }


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def _alt(number: int, view: WordView) -> str:
    titles = ", ".join(member.title for member in view.shown)
    return f"Middle axial and coronal slices of word {number} in {len(view.shown)} scans: {titles}."


def _how(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    recipe, counts, embedder = facts["recipe"], facts["counts"], facts["embedder"]
    arguments = ", ".join(
        f"{name} {value}" for name, value in embedder["backbone"]["init_args"].items()
    )
    network = embedder["backbone"]["class_path"].rpartition(".")[2].removesuffix("Config")
    frame = {
        "voxel": "a word lies at the same voxel in every scan",
        "body": "the middle of a word lies at the same fraction of the box around the body",
    }[recipe["frame"]]
    unit = "voxels of the scan" if recipe["frame"] == "voxel" else "of the box around the body"
    taken = {
        "air_dominated": f"a mean tissue score, from {recipe['tissue_hu']:g} HU on, of at most "
        f"{recipe['most_tissue']:g}",
        "foreground_fraction": "between {:g} and {:g} of it in the body".format(
            *recipe["foreground"]
        ),
    }[recipe["crop_filter"]]
    members, held = facts["members"], facts["validation_members"]
    return [
        (
            "Auto-encoder",
            f"{network} ({arguments}), {embedder['steps']:,} steps on scans resized to "
            f"{size_text(embedder['crop_size'])} voxels; weights {embedder['digest'][:16]}",
        ),
        (
            "Embedding",
            f"{embedder['features']} numbers a scan: the mean of the bottleneck over its "
            "positions; Euclidean distance, not normalized",
        ),
        ("Frame", frame),
        (
            "Cubes",
            f"{size_text(recipe['size'])} voxels; borders {size_text(facts['borders'])} {unit}, "
            f"{recipe['margin']} voxels behind; places at least {recipe['min_distance']:g} voxels "
            "apart",
        ),
        ("Taken where", f"in the reference, {taken}"),
        (
            "Members",
            f"{members} training and {held} held-out scans a word, one a patient, by rising "
            "distance to the reference",
        ),
        (
            "Jitter",
            f"{recipe['jitter']} boxes a training member: edge {facts['sides'][0]} to "
            f"{facts['sides'][1]} voxels, shift {facts['shifts'][0]} to {facts['shifts'][1]}",
        ),
        (
            "References",
            f"{recipe['references']}; {counts['references_used']} used, of these "
            f"{counts['references_without_place']} without a place and "
            f"{counts['references_without_members']} whose place too few scans can hold; "
            f"{counts['references_too_small']} scans too small for one",
        ),
        ("Correlation", f"of the cubes of at most {facts['compared']} training members, in pairs"),
        (
            "Scans",
            f"{counts['training_scans']} of {facts['training_patients']} patients to learn from, "
            f"{counts['validation_scans']} of {facts['validation_patients']} held out",
        ),
        (
            "Store",
            f"{PurePath(facts['store']).name}, digest of these scans {facts['scans_digest'][:16]}",
        ),
        ("Seed", str(facts["seed"])),
        ("Patents", facts["license_note"]),
        ("Command", facts["command"]),
        ("Versions", ", ".join(f"{name} {it}" for name, it in facts["versions"].items())),
        ("Done", f"{facts['date']}, in {facts['seconds'] / 60:.0f} minutes"),
    ]
