from __future__ import annotations

from io import StringIO
from pathlib import Path

from plain_record import plain_record
from rich.console import Console

from selfscan.scans.inputs.sources import Unusable
from selfscan.scans.preparation.summary import closing_table


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
    scans = [
        plain_record("a", split="test"),
        plain_record("b[1]", split="pretrain", near_duplicate_of="a"),
    ]
    text = shown(closing_table(scans, []))
    assert "near-duplicates: 1" in text
    assert "b[1] (pretrain)" in text
    assert "a (test)" in text
    assert "near-duplicates" not in shown(closing_table(scans[:1], []))
