from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import nibabel
import numpy as np
import pytest
from page_parser import Page
from small_store import write_small_store

from selfscan.errors import SelfscanError
from selfscan.evaluation.inspect import evenly, inspect
from selfscan.evaluation.inspect_tiles import reason_class, without_paths
from selfscan.scans.index import write_index
from selfscan.scans.inputs.sources import Unusable
from selfscan.scans.near_duplicates import reason_for
from selfscan.scans.store import Store


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of ten scans, one a copy of a test case, and of four files left out, one a copy too."""
    folder = Path(tmp_path_factory.mktemp("inspect"))
    store = write_small_store(folder / "store", tissue=True)
    rows = list(Store(store))
    leak = "near-duplicate of a scan of the split test"
    rows[0] = replace(rows[0], near_duplicate_of="scan-6", warnings=(leak,))
    rows[1] = replace(rows[1], warnings=("modality guessed: <ct>",))
    volume = np.random.default_rng(0).integers(0, 500, (9, 8, 7)).astype(np.int16)
    secret = folder / "in" / "MUELLER"
    secret.mkdir(parents=True)
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), secret / "copy.nii.gz")
    rejected = [
        Unusable(secret / "copy.nii.gz", reason_for("scan-2")),
        Unusable(secret / "empty.nii.gz", "found an empty file of 0 bytes; expected a scan"),
        Unusable(secret / "b.nii.gz", "found it listed twice; x"),
        Unusable(secret / "x.nii", "found 1,376 bytes that hold too little; expected more"),
    ]
    write_index(store, rows, rejected, {0: "background", 1: "ball"})
    return inspect(store, workers=1)


def test_the_page_is_whole_private_and_fetches_nothing(page: Path) -> None:
    assert page.name == "inspect.html"
    text = page.read_text(encoding="utf-8")
    parsed = Page(text)
    assert parsed.open == []
    assert all(address.startswith(("data:image/", "#")) for address in parsed.fetched)
    assert all(image["alt"] for image in parsed.images)
    assert "http" not in re.sub(r"base64,[^\"]*", "", text)
    assert "MUELLER" not in text
    assert str(page.parent.parent) not in text
    assert not any(record.subject in text for record in Store(page.parent))
    assert "modality guessed: &lt;ct&gt;" in text
    for said in (
        "10 scans kept, 4 left out",
        "1 scans are near-duplicates of a test or validation case",
        "16 × 16 × 16, 32 × 32 × 32 mm",
        "row 2, .nii.gz",
        "the file is not where it was",
    ):
        assert said in text


def test_files_left_out_are_named_by_their_path_only_where_asked(page: Path) -> None:
    text = inspect(page.parent, paths=True, out=page.parent / "paths.html", workers=1).read_text()
    assert "empty.nii.gz" in text
    assert "by their path" in text
    assert "row 1" not in text


def test_tiles_carry_what_filters_choose_by(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    gallery = text[text.index('id="all"') :]
    tiles = re.findall(r"<li ([^>]*)>.*?<h3>(.*?)</h3>", gallery, flags=re.DOTALL)
    found = {name: dict(re.findall(r'data-(\w+)="([^"]*)"', given)) for given, name in tiles}
    assert len(found) == 14
    assert found["scan-1"] == {
        "status": "kept",
        "reason": "",
        "modality": "CT",
        "split": "train",
        "labels": "labelled",
        "note": "modality guessed: &lt;ct&gt;",
    }
    assert [name for name, data in found.items() if data["note"] == "near-duplicate"] == [
        "scan-0",
        "scan-2",
        "scan-6",
        "row 1, .nii.gz",
    ]
    assert found["row 3, .nii"]["reason"] == "n bytes that hold too little"
    assert found["row 1, .nii.gz"]["reason"] == "near-duplicate of a scan that was kept"
    side_by_side = text[text.index("side by side") : text.index('id="all"')]
    assert re.findall(r"<h3>(.*?)</h3>", side_by_side) == [
        "scan-2",
        "row 1, .nii.gz",
        "scan-6",
        "scan-0",
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("hash", "expected"),
    [
        ("", 14),
        ("status=left+out", 4),
        ("split=test&note=near-duplicate", 1),
        (f"note={quote('modality guessed: <ct>')}", 1),
        ("text=SCAN-1", 1),
        ("text=row+nii", 4),
        ("split=nowhere", 14),
    ],
)
def test_an_address_sets_the_filters(page: Path, tmp_path: Path, hash: str, expected: int) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium here to run the page's script")
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync")
    done = subprocess.run(
        [browser, *flags, f"--user-data-dir={tmp_path}", "--dump-dom", f"{page.as_uri()}#{hash}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert f">{expected} of 14</p>" in done.stdout
    gallery = done.stdout[done.stdout.index('id="all"') :]
    assert len(re.findall(r"<li [^>]*hidden", gallery)) == 14 - expected


def test_those_ahead_come_first_and_the_rest_evenly() -> None:
    ahead = [i in (3, 97) for i in range(100)]
    assert evenly(ahead, 4) == [0, 3, 50, 97]
    assert evenly(ahead, 1) == [3]
    assert evenly(ahead, 1000) == list(range(100))
    assert evenly([], 5) == []


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("same content as a/b c", "same content as another"),
        ("found 2 volumes in one file, shape (1, 2); expected", "n volumes in one file"),
        ("found uneven gaps of 1.08 to 7 mm (the first); x", "uneven gaps of n to n mm"),
        ("found it twice, first as /data/PQ/a.nii; x", "it twice, first as a.nii"),
    ],
)
def test_reasons_of_one_kind(reason: str, kind: str) -> None:
    assert reason_class(reason) == kind


def test_paths_lose_their_folders() -> None:
    assert without_paths("as /data/MUELLER/a.nii.gz; 2/3 of") == "as a.nii.gz; 2/3 of"


def test_fewer_scans_may_be_pictured(page: Path, tmp_path: Path) -> None:
    out = inspect(page.parent, out=tmp_path, scans=3, workers=1)
    assert out == tmp_path / "inspect.html"
    text = out.read_text(encoding="utf-8")
    assert "Pictured are 3 of 10 scans" in text
    assert "6 of 6" in text
    gallery = text[text.index('id="all"') :]
    assert re.findall(r"<h3>(scan.*?)</h3>", gallery) == ["scan-0", "scan-2", "scan-6"]


def test_bad_arguments_and_no_store(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="scans must be at least 1, got 0"):
        inspect(tmp_path, scans=0)
    with pytest.raises(SelfscanError, match=r"no contract\.json"):
        inspect(tmp_path)
