"""The Python lines of the README run as they stand, but for their sizes."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from selfscan.scans.phantom import write_phantoms

README = Path(__file__).parent.parent / "README.md"
SMALLER = {
    "spacing=(1.5, 1.5, 2.0)": "spacing=(14.0, 14.0, 14.0)",
    "width=32": "width=1",
    "steps=20_000": "steps=1, validation_examples=1",
    "cases=10": "cases=2",
    "steps=2_000": "steps=1",
}


@pytest.mark.slow
def test_the_lines_of_the_readme_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = re.search(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    lines = found[1]
    for size, smaller in SMALLER.items():
        assert lines.count(size) == 1
        lines = lines.replace(size, smaller)
    write_phantoms(tmp_path / "scans", cases=7, labelled=6, spacing_mm=(14.0, 14.0, 14.0))
    (tmp_path / "new_scans").mkdir()
    for scan in (tmp_path / "scans" / "imagesTs").iterdir():
        scan.rename(tmp_path / "new_scans" / scan.name)
    (tmp_path / "lines.py").write_text(lines, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    runpy.run_path("lines.py")
    labelled = {path.name for path in (tmp_path / "predictions").glob("*.nii.gz")}
    assert labelled == {path.name for path in (tmp_path / "new_scans").iterdir()}
