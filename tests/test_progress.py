from __future__ import annotations

import pytest

from selfscan.progress import Progress, console, details, one_of_many


def test_without_a_terminal_a_tenth_of_the_work_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines: list[str] = []
    monkeypatch.setattr(console, "print", lambda line, **_: lines.append(line))
    with Progress("prepare", total=20, unit="scans", done=4) as progress:
        for _ in range(16):
            progress.advance(quality="0 rejected")
    assert len(lines) == 8
    assert lines[-1].startswith("prepare: 20/20 scans")
    assert lines[-1].endswith("0 s left 0 rejected")


def test_other_ranks_are_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr(console, "print", lambda line, **_: lines.append(line))
    with Progress("pretrain", total=2, unit="steps", visible=False) as progress:
        progress.advance(2)
    assert lines == []


def test_one_run_of_many_prints_no_details_and_few_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with one_of_many():
        details.print("a table of what was loaded")
        console.print("a warning")
        with Progress("finetune", total=10, unit="steps") as progress:
            progress.advance(10)
    details.print("told again")
    assert capsys.readouterr().err.splitlines() == ["a warning", "told again"]
    lines: list[str] = []
    now = iter([0.0, 30.0, 61.0, 61.0, 90.0, 200.0, 200.0])
    monkeypatch.setattr("selfscan.progress.monotonic", lambda: next(now))
    monkeypatch.setattr(console, "print", lambda line, **_: lines.append(line))
    with one_of_many(), Progress("finetune", total=10, unit="steps") as progress:
        for _ in range(4):
            progress.advance(2)
    assert [line.split(",")[0] for line in lines] == [
        "finetune: 4/10 steps",
        "finetune: 8/10 steps",
    ]
