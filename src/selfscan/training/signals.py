"""SIGINT and SIGTERM as requests to end the step in progress, write a checkpoint, and stop."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Whether a signal asked to stop, and which.

    Attributes:
        number: The signal's number; 0 while there is none.
    """

    number = 0


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Turn the first SIGINT or SIGTERM into a request; a second one acts as it always did.

    Processes forked meanwhile, as the workers of a loader are, do not hear these signals: Ctrl-C
    and SLURM send them to all, and a step could not end if its workers died. Outside the main
    thread, where Python allows no handlers, signals stay as they are.
    """
    global _children_are_shielded
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, frame: FrameType | None) -> None:
        request.number = number
        restore()

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
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))


os.register_at_fork(after_in_child=_shield_child)
