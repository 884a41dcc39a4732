"""Signals as requests to end the step in progress, write a checkpoint, and stop."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# What asks to stop: Ctrl-C, whoever ends a process in order, and SLURM before the time is up.
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)

_IMPATIENT_AFTER_S = 1.0


class StopRequest:
    """Whether a signal asked to stop, and which.

    Attributes:
        number: The signal's number; 0 while there is none.
    """

    number = 0


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Turn SIGINT, SIGTERM and SIGUSR1 into a request; a second Ctrl-C acts as it always did.

    Launchers pass on what their processes hear as well, so that one Ctrl-C may come twice at once,
    and SLURM's SIGTERM any number of times: only a SIGINT that follows another signal by more than
    a second is taken for impatience. What ends a process in any case is SIGKILL.

    Processes forked meanwhile, as the workers of a loader are, do not hear these signals: Ctrl-C
    and SLURM send them to all, and a step could not end if its workers died. Outside the main
    thread, where Python allows no handlers, signals stay as they are.
    """
    global _children_are_shielded
    request, asked = StopRequest(), 0.0
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) for number in STOPPING}

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if not request.number:
            request.number, asked = number, time.monotonic()
        elif number == signal.SIGINT and time.monotonic() - asked > _IMPATIENT_AFTER_S:
            restore()
            signal.raise_signal(number)

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, ask)
    _children_are_shielded = True
    try:
        yield request
    finally:
        _children_are_shielded = False
        restore()


_children_are_shielded = False


def _shield_child() -> None:
    # Blocked, not ignored: the workers of PyTorch set a handler for SIGTERM after they have forked.
    if _children_are_shielded:
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)


os.register_at_fork(after_in_child=_shield_child)
