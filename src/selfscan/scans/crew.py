"""Many tasks on Dask workers, a few at a time: processes of one thread, here or on a cluster."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from types import FrameType
from typing import Any, TypeVar

import dask
from distributed import Client, KilledWorker, LocalCluster, as_completed

from selfscan.errors import Interrupted

Task = TypeVar("Task")
Result = TypeVar("Result")

_WAITING = 2  # tasks a worker has or waits for: it never idles, and no queue grows


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def crew(workers: int, scheduler: str | None = None) -> Iterator[Client]:
    """Start workers on this machine, or join the Dask cluster at an address.

    A task whose worker dies is tried again by `spread`.
    """
    if scheduler is not None:
        with Client(scheduler) as client:
            yield client
        return
    settings = {
        "distributed.scheduler.allowed-failures": 0,
        "distributed.comm.timeouts.connect": "60s",
    }
    with (
        dask.config.set(settings),
        _without_script(),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            memory_limit=0,
            dashboard_address=":0",
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def spread(
    client: Client, function: Callable[[Task], Result], tasks: Iterable[Task]
) -> Iterator[tuple[Task, Result | BaseException]]:
    """Run a function on each task; give each task with its result, or error, as it finishes.

    Tasks are taken from the iterable as workers become free; results are small and not kept. Where
    a worker dies, those of its tasks that wait are under suspicion with the one that runs: all of
    them are tried once more, at the end and one by one, so that only one that kills its worker
    when alone is given up.
    """
    suspects: list[Task] = []
    for task, result in _at_once(client, function, tasks):
        if isinstance(result, KilledWorker):
            suspects.append(task)
        else:
            yield task, result
    for suspect in suspects:
        yield from _at_once(client, function, [suspect])


def _at_once(
    client: Client, function: Callable[[Task], Result], tasks: Iterable[Task]
) -> Iterator[tuple[Task, Result | BaseException]]:
    waiting = iter(tasks)
    task_of: dict[Any, Task] = {}

    def submit(count: int) -> list[Any]:
        futures = []
        for task in islice(waiting, count):
            future = client.submit(function, task, pure=False)
            task_of[future] = task
            futures.append(future)
        return futures

    finished = as_completed(submit(_WAITING * max(1, sum(client.nthreads().values()))))
    for future in finished:
        task = task_of.pop(future)
        error = future.exception()
        result = future.result() if error is None else error
        future.release()
        for new in submit(1):
            finished.add(new)
        yield task, result


@contextmanager
def stopped_by_signals(advice: str) -> Iterator[None]:
    """Turn SIGINT and SIGTERM into an error, so that workers end and files are left in order."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Interrupted(number, advice)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    earlier = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


@contextmanager
def _without_script() -> Iterator[None]:
    """Keep worker processes from running the caller's script again.

    Python's `spawn` imports the main module in each new process; a script without an
    `if __name__ == "__main__"` guard would start itself over and over. Workers need only selfscan.
    """
    main = sys.modules["__main__"]
    names = ("__file__", "__spec__")
    hidden: dict[str, Any] = {name: vars(main)[name] for name in names if name in vars(main)}
    vars(main).pop("__file__", None)
    main.__spec__ = None
    try:
        yield
    finally:
        vars(main).update(hidden)
