from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from page_parser import Page
from planted_alignment import planted_pair, planted_rows

from selfscan.evaluation.alignment_page import write_page

FACTS: dict[str, Any] = {
    "store": "/somewhere/headneck", "scans_digest": "0123456789abcdef" * 4,
    "pairs": [["a", "b"], ["c", "d"]], "checkpoint": "/somewhere/run", "steps": 1000, "seed": 0,
    "method": {"class_path": "selfscan.methods.gvsl.GVSLConfig",
               "init_args": {"similarity": "ncc"}},
    "crops": {"size": [96, 64, 48], "place": "whole", "within": "body", "distinct": True},
    "backbone": {"class_path": "selfscan.networks.gvsl_unet.GVSLUNetConfig",
                 "init_args": {"width": 8}},
    "seconds": 120, "date": "2026-01-02T03:04+00:00", "command": "selfscan align s o",
    "versions": {"python": "3.11", "selfscan": "0.1.0"},
}  # fmt: skip


def write(tmp_path: Path, *, pictures: bool = False, pairs: int = 6, **dice: float) -> str:
    shown = {"best": planted_pair(), "worst": planted_pair()} if pictures else {}
    return write_page(planted_rows(pairs, **dice), FACTS, shown, tmp_path).read_text("utf-8")


@pytest.mark.slow
def test_the_page_is_whole_and_fetches_nothing(tmp_path: Path) -> None:
    page = write(tmp_path, pictures=True)
    parsed = Page(page)
    assert parsed.open == []
    assert len(parsed.images) == 2
    assert all(address.startswith("data:image/png;base64,") for address in parsed.fetched)
    assert "http" not in re.sub(r"base64,[^\"]*", "", page)
    for text in ("&lt;tail&gt;", "6 pairs of 11 patients", "the whole body, resized", "a onto b",
                 "to whose Dice the warp adds least", "0.10%", "96 × 64 × 48 voxels"):  # fmt: skip
        assert text in page


@pytest.mark.parametrize(
    ("warp", "against_identity", "against_affine"),
    [
        (0.6, "More overlap than laid on each other.", "More overlap than by the affine part"),
        (0.5, "More overlap than laid on each other.", "Not clearly more overlap than by the af"),
        (0.3, "Less overlap than laid on each other.", "Less overlap than by the affine part"),
    ],
)
def test_the_answer_is_against_doing_less(
    tmp_path: Path, warp: float, against_identity: str, against_affine: str
) -> None:
    page = write(tmp_path, warp=warp)
    assert against_identity in page
    assert against_affine in page
    assert "Before and after" not in page


def test_two_pairs_of_one_patient_decide_nothing(tmp_path: Path) -> None:
    page = write(tmp_path, pairs=2)
    assert "Not clearly more overlap than laid on each other." in page
    assert "95% interval – to –" in page
