"""Alarms: late enough, once, and written down."""

from __future__ import annotations

from pathlib import Path

from selfscan.methods.method import Alarm
from selfscan.training.alarms import Watch
from selfscan.training.logs import RunLog


def test_a_low_monitor_is_told_once_and_not_before_a_tenth_of_the_steps(tmp_path: Path) -> None:
    with RunLog(tmp_path) as log:
        alarms, told = [Alarm("contrast", 0.2, "lower the rate")], list[str]()
        watch = Watch(alarms, told=told, steps=100, log=log)
        for step, value in ((5, 0.0), (20, 0.5), (30, 0.1), (40, 0.05)):
            watch.see(step, {"contrast": value, "loss": 1.0})
        Watch(alarms, told=told, steps=100, log=log).see(50, {"contrast": 0.0})
    text = (tmp_path / "log.txt").read_text().splitlines()
    assert len(text) == 1
    assert text[0].endswith("contrast is 0.1 after step 30, below 0.2: lower the rate")
    assert (tmp_path / "metrics.csv").read_text().splitlines()[1:] == ["30,alarm/contrast,0.1"]
