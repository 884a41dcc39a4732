from __future__ import annotations

import pytest

from selfscan.progress import Progress, console


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
