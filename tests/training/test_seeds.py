"""Seeds: equal for equal purposes, unlike for others, the same on every machine."""

from __future__ import annotations

from selfscan.training.seeds import derive_seed


def test_a_seed_depends_on_the_run_and_the_purpose_alone() -> None:
    assert derive_seed(0, "step", 12) == 231383131325738176
    seeds = {derive_seed(run, purpose, 3) for run in range(10) for purpose in ("crops", "views")}
    assert len(seeds) == 20
    assert all(0 <= seed < 2**63 for seed in seeds)
