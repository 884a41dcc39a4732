"""Watching monitors that show when training went wrong, such as a collapse; each is told once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from selfscan.methods.method import Alarm
from selfscan.training.logs import RunLog


class Watch:
    """Warns the first time a validation gives less than an alarm allows.

    The first tenth of the steps is left in peace, since an untrained network looks like a collapsed
    one.

    Args:
        alarms: What to watch.
        told: Monitors told of before, as the state of a run keeps them; grows.
        steps: Steps of the whole run.
        log: Where to tell.
    """

    def __init__(
        self, alarms: Sequence[Alarm], *, told: list[str], steps: int, log: RunLog
    ) -> None:
        self._alarms, self._told = alarms, told
        self._from_step = steps / 10
        self._log = log

    def see(self, step: int, values: Mapping[str, float]) -> None:
        """Look at the values of a validation after so many steps."""
        if step < self._from_step:
            return
        for alarm in self._alarms:
            value = values[alarm.monitor]
            if value < alarm.minimum and alarm.monitor not in self._told:
                self._told.append(alarm.monitor)
                self._log.metrics(step, {f"alarm/{alarm.monitor}": value})
                self._log.say(
                    f"{alarm.monitor} is {value:.3g} after step {step}, below {alarm.minimum:g}: "
                    f"{alarm.advice}",
                    warning=True,
                )
