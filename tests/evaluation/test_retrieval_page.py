from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from page_parser import Page
from planted import planted_colors

from selfscan.evaluation.retrieval_page import write_page

EMBEDDINGS = {"checkpoint": 6.0, "random network": 25.0, "intensity patch": 30.0}
FACTS: dict[str, Any] = {
    "store": "/somewhere/headneck", "scans_digest": "0123456789abcdef" * 4,
    "cases": ["a", "b", "c"], "patients": 3, "checkpoint": "/somewhere/run", "method": "vox2vec",
    "steps": 1000, "features": 240, "crop_size": [48, 48, 32], "window_hu": [-1000, 1000],
    "backbone": {"class_path": "selfscan.networks.fpn3d.FPN3DConfig", "init_args": {"width": 8}},
    "seed": 0, "seconds": 120, "date": "2026-01-02T03:04+00:00", "command": "selfscan retrieve s o",
    "recipe": {"points": 200, "amplitude_mm": 30.0, "scale_mm": 80.0, "patch_size": 7},
    "versions": {"python": "3.11", "selfscan": "0.1.0"},
}  # fmt: skip


def planted_errors(kinds: tuple[str, ...] = ("warp", "organs"), **medians: float) -> pd.DataFrame:
    random = np.random.default_rng(0)
    rows = [
        {"kind": kind, "scan": "a", "target": "b", "structure": organ if kind == "organs" else ""}
        | {"embedding": name, "error_mm": float(median * random.uniform(0.5, 1.5))}
        for kind in kinds
        for name, median in (EMBEDDINGS | medians).items()
        for organ in ("liver", "<spleen>") * 20
    ]
    return pd.DataFrame(rows)


def write(tmp_path: Path, errors: pd.DataFrame, **options: Any) -> str:
    colored = options.get("colored", {"checkpoint": planted_colors()})
    return write_page(errors, FACTS, colored, tmp_path).read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_page_is_whole_and_fetches_nothing(tmp_path: Path) -> None:
    page = write(tmp_path, planted_errors())
    parsed = Page(page)
    assert parsed.open == []
    assert len(parsed.images) == 2
    assert all(address.startswith("data:image/png;base64,") for address in parsed.fetched)
    assert "http" not in re.sub(r"base64,[^\"]*", "", page)
    for text in ("&lt;spleen&gt;", "liver", "240 features", "48 × 48 × 32", "Embeddings of the"):
        assert text in page


@pytest.mark.parametrize(
    ("median", "verdict"),
    [(6.0, "In other patients: nearer than every floor."),
     (40.0, "In other patients: not nearer than the best floor.")],
)  # fmt: skip
def test_the_verdict_is_against_the_best_floor(tmp_path: Path, median: float, verdict: str) -> None:
    page = write(tmp_path, planted_errors(checkpoint=median))
    assert verdict in page
    assert "by random network it is 2" in page


def test_without_labels_and_pictures_their_sections_are_left_out(tmp_path: Path) -> None:
    page = write(tmp_path, planted_errors(("warp",)), colored={})
    assert "After a warp: nearer than every floor." in page
    for text in ("Organ by organ", "In other patients", "as colors"):
        assert text not in page
