"""The page of `align`: do moved labels fall on those of another patient, against doing less?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

import pandas as pd

from selfscan.evaluation.alignment import AFFINE, IDENTITY, WARP
from selfscan.evaluation.alignment_picture import AlignedPair, draw_aligned
from selfscan.evaluation.alignment_scores import structure_scores, summarize_alignment
from selfscan.evaluation.facts import day_of, size_text
from selfscan.evaluation.page import PHOTO_DOTS, Plot, plot, render_page
from selfscan.files import written_atomically

_BASES = {IDENTITY: "laid on each other", AFFINE: "by the affine part alone"}
_COLORS = (
    "Blue are the labels of the fixed scan, orange those of the moving one where this column puts "
    "them. The patient’s right is on the left; in the sagittal view the front is on the left."
)


def write_page(
    rows: pd.DataFrame,
    facts: Mapping[str, Any],
    pictures: Mapping[str, AlignedPair],
    folder: Path,
) -> Path:
    """Write `alignment.html`.

    Args:
        rows: What `align` returns.
        facts: What `alignment.json` holds.
        pictures: Pairs to show, by why they are shown; may be empty.
        folder: Where the page goes.
    """
    summary = summarize_alignment(rows).to_dict("records")
    warp = next(row for row in summary if row["arm"] == WARP)
    values = {
        "answers": [_answer(row, warp) for row in summary if row["arm"] != WARP],
        "summary": summary,
        "structures": structure_scores(rows),
        "pictures": [_picture(role, pair) for role, pair in pictures.items()],
        "facts": {
            "store": PurePath(facts["store"]).name,
            "checkpoint": PurePath(facts["checkpoint"]).name,
            "date": day_of(facts["date"]),
            "versions": facts["versions"],
            "pairs": warp["pairs"],
            "patients": warp["patients"],
        },
        "how": _how(facts),
    }
    path = folder / "alignment.html"
    with written_atomically(path) as temporary:
        temporary.write_text(render_page("alignment.html.j2", values), encoding="utf-8")
    return path


def _answer(base: Mapping[str, Any], warp: Mapping[str, Any]) -> dict[str, Any]:
    """Whether the labels overlap more after the warp than by doing less."""
    low, high = base["dice_gain_low"], base["dice_gain_high"]
    helps, hurts = low > 0, high < 0
    headline = "More" if helps else "Less" if hurts else "Not clearly more"
    return {
        "headline": f"{headline} overlap than {_BASES[base['arm']]}.",
        "base": _BASES[base["arm"]],
        "kind": "helps" if helps else "hurts" if hurts else "",
        "warp": warp["dice"],
        "dice": base["dice"],
        "gain": base["dice_gain"],
        "low": low,
        "high": high,
    }


def _picture(role: str, pair: AlignedPair) -> Plot:
    names = {"best": "most", "median": "middling", "worst": "least"}
    shown = plot(
        draw_aligned(pair),
        alt="Slices of the moving scan before and after, and of the fixed one, with outlines.",
        caption=f"The pair to whose Dice the warp adds {names[role]}. {_COLORS}",
        dots_per_inch=PHOTO_DOTS,
    )
    assert shown is not None
    return shown


def _how(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    method, crops = facts["method"]["init_args"], facts["crops"]
    backbone = facts["backbone"]
    arguments = ", ".join(f"{name} {value}" for name, value in backbone["init_args"].items())
    network = backbone["class_path"].rpartition(".")[2].removesuffix("Config")
    where = {"whole": f"the whole {crops['within']}, resized"}.get(
        crops["place"], f"the middle of the {crops['within']}"
    )
    return [
        (
            "Checkpoint",
            f"{facts['checkpoint']}: {facts['steps']:,} steps, similarity {method['similarity']}",
        ),
        ("Network", f"{network} ({arguments})"),
        ("Crops", f"{size_text(crops['size'])} voxels, {where}"),
        ("Identity", "the two crops laid on each other, voxel on voxel"),
        ("Affine only", "the network’s matrix without its displacement"),
        ("Warp", "matrix and displacement, beyond the crop that of its border"),
        ("Dice", "of the labels that both scans have, on the whole grid of the fixed scan"),
        (
            "Local correlation",
            "mean square in windows of 9 voxels an edge, in the crop that the network saw",
        ),
        (
            "Folded voxels",
            "where the Jacobian determinant of the map, by forward differences, is not positive",
        ),
        ("Pairs", "; ".join(f"{moving} onto {fixed}" for moving, fixed in facts["pairs"])),
        (
            "Store",
            f"{PurePath(facts['store']).name}, digest of these scans {facts['scans_digest'][:16]}",
        ),
        ("Command", facts["command"]),
        ("Versions", ", ".join(f"{name} {it}" for name, it in facts["versions"].items())),
        ("Done", f"{facts['date']}, in {facts['seconds'] / 60:.0f} minutes"),
    ]
