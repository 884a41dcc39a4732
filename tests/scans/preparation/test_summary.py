from __future__ import annotations

from io import StringIO
from pathlib import Path

from rich.console import Console

from selfscan.scans.inputs.sources import Unusable
from selfscan.scans.preparation.summary import closing_table
from selfscan.scans.record import ScanRecord


def shown(*parts: object) -> str:
    text = StringIO()
    Console(width=120, file=text).print(*parts)
    return text.getvalue()


def test_every_reason_is_shown_until_there_are_too_many() -> None:
    few = [Unusable(Path(f"/data/deep/{n}.nii"), f"found [{n}]") for n in range(3)]
    text = shown(closing_table([], few))
    assert "left out: 3" in text
    assert all(f"found [{n}]" in text for n in range(3))
    assert "/data/deep" not in text
    many = [Unusable(Path(f"/data/{n}.nii"), "found nothing") for n in range(100)]
    assert "and 80 more in rejected.parquet" in shown(closing_table([], many))
    assert "and 80 more in list.csv" in shown(closing_table([], many, listed_in="list.csv"))


def test_near_duplicates_are_shown_with_their_splits() -> None:
    scans = [scan("a", split="test"), scan("b[1]", split="pretrain", near_duplicate_of="a")]
    text = shown(closing_table(scans, []))
    assert "near-duplicates: 1" in text
    assert "b[1] (pretrain)" in text
    assert "a (test)" in text
    assert "near-duplicates" not in shown(closing_table(scans[:1], []))


def scan(id: str, *, split: str, near_duplicate_of: str | None = None) -> ScanRecord:
    return ScanRecord(
        id=id,
        subject=id,
        modality=("ct",),
        shape=(2, 2, 2),
        spacing=(1.0, 1.0, 1.0),
        affine=((1.0, 0.0, 0.0, 0.0),) * 4,
        intensity_slope=(1.0,),
        intensity_intercept=(0.0,),
        foreground_fraction=1.0,
        foreground_box=((0, 0, 0), (2, 2, 2)),
        source_digest=id,
        volume_digest=id,
        split=split,
        near_duplicate_of=near_duplicate_of,
    )
