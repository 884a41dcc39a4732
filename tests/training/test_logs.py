"""Logs: rows in long form, and what a killed run wrote too much of is dropped."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from selfscan.training.logs import RunLog


def rows(folder: Path) -> list[str]:
    return (folder / "metrics.csv").read_text().splitlines()


def test_metrics_are_rows_of_step_name_and_value(tmp_path: Path) -> None:
    with RunLog(tmp_path) as log:
        log.metrics(1, {"train/loss": 0.1, "train/rate": 1})
        log.metrics(2, {"train/loss": float("nan")})
    assert rows(tmp_path) == [
        "step,name,value",
        "1,train/loss,0.1",
        "1,train/rate,1.0",
        "2,train/loss,nan",
    ]


def test_rows_after_the_resumed_step_and_a_cut_off_line_are_dropped(tmp_path: Path) -> None:
    with RunLog(tmp_path) as log:
        for step in (1, 2, 3):
            log.metrics(step, {"train/loss": step / 10})
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("4,train/lo")
    with RunLog(tmp_path, step=2) as log:
        log.metrics(3, {"train/loss": 0.5})
    assert rows(tmp_path)[1:] == ["1,train/loss,0.1", "2,train/loss,0.2", "3,train/loss,0.5"]
    board = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    shown = [(event.step, round(event.value, 3)) for event in board.Scalars("train/loss")]
    assert shown == [(1, 0.1), (2, 0.2), (3, 0.5)]


def test_the_text_log_holds_messages_and_how_the_run_ended(tmp_path: Path) -> None:
    def run() -> None:
        with RunLog(tmp_path) as log:
            log.say("begins")
            log.say("looks odd", warning=True)
            raise RuntimeError("broke")

    with pytest.raises(RuntimeError, match="broke"):
        run()
    begins, odd, broke = (tmp_path / "log.txt").read_text().splitlines()
    assert begins.endswith(" begins")
    assert odd.endswith(" warning: looks odd")
    assert broke.endswith(" RuntimeError: broke")


def test_other_ranks_write_nothing(tmp_path: Path) -> None:
    with RunLog(tmp_path, visible=False) as log:
        log.metrics(1, {"train/loss": 0.1})
        log.rate(1, 2.0)
        log.say("begins")
    assert list(tmp_path.iterdir()) == []
