"""The page of `retrieve`: how near the embeddings come, against floors, and what they look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import pandas as pd

from selfscan.evaluation import figures
from selfscan.evaluation.embedding_picture import ColoredScan, embedding_plot
from selfscan.evaluation.facts import day_of, size_text
from selfscan.evaluation.page import plot, render_page
from selfscan.evaluation.retrieval_scores import KINDS, WITHIN_MM, summarize_errors
from selfscan.files import written_atomically

_WHERE = {"warp": "After a warp", "organs": "In other patients"}


def write_page(
    errors: pd.DataFrame,
    facts: Mapping[str, Any],
    colored: Mapping[str, Sequence[ColoredScan]],
    folder: Path,
) -> Path:
    """Write `retrieval.html`.

    Args:
        errors: One row a query and embedding; the first embedding is the one in question.
        facts: What `retrieval.json` holds.
        colored: Colored slices by embedding; may be empty.
        folder: Where the page goes.
    """
    summary = summarize_errors(errors)
    values = {
        "answers": [
            _answer(kind, rows.to_dict("records"))
            for kind, rows in summary.groupby("kind", sort=False)
        ],
        "kinds": KINDS,
        "within": WITHIN_MM,
        "result": [rows.to_dict("records") for _, rows in summary.groupby("kind", sort=False)],
        "structures": _structures(errors),
        "embeddings": list(errors["embedding"].unique()),
        "shares": _shares(errors),
        "pictures": [embedding_plot(scans, f"the {name}") for name, scans in colored.items()],
        "facts": {
            "store": PurePath(facts["store"]).name,
            "checkpoint": PurePath(facts["checkpoint"]).name,
            "date": day_of(facts["date"]),
            "versions": facts["versions"],
            "cases": len(facts["cases"]),
        },
        "how": _how(facts),
    }
    path = folder / "retrieval.html"
    with written_atomically(path) as temporary:
        temporary.write_text(render_page("retrieval.html.j2", values), encoding="utf-8")
    return path


def _answer(kind: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Whether the embedding in question beats every floor by its median error."""
    ours, *floors = rows
    best = min(floors, key=lambda row: float(row["median_mm"]))
    return {
        "where": _WHERE[kind],
        "beats": ours["median_mm"] < best["median_mm"],
        "queries": ours["queries"],
        "median_mm": ours["median_mm"],
        "best": best,
    }


def _structures(errors: pd.DataFrame) -> list[dict[str, Any]]:
    """The median error of each organ by each embedding."""
    organs = errors[errors["structure"] != ""]
    rows = organs.groupby(["structure", "embedding"], sort=False)["error_mm"].median()
    return [
        {"name": name, "queries": len(group) // group["embedding"].nunique(), **rows[name]}
        for name, group in organs.groupby("structure", sort=False)
    ]


def _shares(errors: pd.DataFrame) -> Any:
    by_kind = {
        KINDS[kind]: {
            embedding: group["error_mm"].to_numpy()
            for embedding, group in rows.groupby("embedding", sort=False)
        }
        for kind, rows in errors.groupby("kind", sort=False)
    }
    return plot(
        figures.error_shares(by_kind),
        alt="Share of queries found within a distance of the true place, by embedding.",
        caption="Higher and further left is better. The axis ends at 60 mm; what a line lacks to "
        "the top there was found farther away.",
    )


def _how(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    recipe, backbone = facts["recipe"], facts["backbone"]
    arguments = ", ".join(f"{name} {value}" for name, value in backbone["init_args"].items())
    network = backbone["class_path"].rpartition(".")[2].removesuffix("Config")
    patch = size_text([recipe["patch_size"]] * 3)
    return [
        (
            "Checkpoint",
            f"{facts['checkpoint']}: {facts['method'] or 'an unknown method'}, "
            f"{facts['steps']:,} steps",
        ),
        (
            "Embedding",
            f"{facts['features']} features of a voxel, from every level of the dense pyramid of "
            f"{network} ({arguments}), in windows of {size_text(facts['crop_size'])} voxels",
        ),
        ("Random network", f"the same network, not trained, seed {facts['seed']}"),
        ("Intensity patch", f"the {patch} voxels around, in the window of the network"),
        ("Relative place", "the same place in the box around the body; no intensity is looked at"),
        (
            "Search",
            "every voxel of the body, by the cosine of features standardized over the body",
        ),
        (
            "Warp",
            f"control points every {recipe['scale_mm']:g} mm, moved by up to "
            f"{recipe['amplitude_mm']:g} mm along each axis; {recipe['points']} voxels a scan",
        ),
        ("Organs", "the voxel nearest the centroid of an organ, in every pair of patients"),
        ("Scans", ", ".join(facts["cases"])),
        (
            "Store",
            f"{PurePath(facts['store']).name}, digest of these scans {facts['scans_digest'][:16]}",
        ),
        ("Command", facts["command"]),
        ("Versions", ", ".join(f"{name} {it}" for name, it in facts["versions"].items())),
        ("Done", f"{facts['date']}, in {facts['seconds'] / 60:.0f} minutes"),
    ]
