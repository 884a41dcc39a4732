"""The demo: every part at work on generated scans, small enough for a test."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from selfscan.demo import demo
from selfscan.errors import SelfscanError
from selfscan.scans.store import Store

small = partial(
    demo,
    cases=7,
    labels=(1, 2),
    seeds=(0,),
    spacing_mm=14.0,
    width=1,
    pretraining_steps=2,
    finetuning_steps=2,
    workers=1,
)


@pytest.mark.slow
def test_from_nothing_to_a_report(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    report = small(out)
    page = report.read_text(encoding="utf-8")
    assert report.is_relative_to(out)
    for part in ("models-genesis", "scratch", "lungs", "data:image/png;base64,"):
        assert part in page
    store = Store(out / "store")
    assert store.label_names == {0: "background", 1: "lungs", 2: "heart", 3: "liver", 4: "spine"}
    assert not any(scan.warnings for scan in store)
    cases = pd.read_parquet(out / "comparison" / "cases.parquet")
    assert set(cases["arm"]) == {"scratch", "random", "models-genesis"}
    assert set(cases["labels"]) == {1, 2}

    with pytest.raises(SelfscanError, match="--resume"):
        small(out)
    written = {path: path.stat().st_mtime_ns for path in (out / "scans").rglob("*.nii.gz")}
    assert small(out, resume=True) == report
    assert {path: path.stat().st_mtime_ns for path in written} == written
