"""One progress line: rate, time left, and one honest number of quality."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress

console = Console(stderr=True)
# Of interest where a verb runs by itself; silent where it is one run of many.
details = Console(stderr=True)
_SPARSELY = 60.0  # seconds between plain lines of one run of many


@contextmanager
def one_of_many() -> Iterator[None]:
    """A run inside another verb: no details, a bar that vanishes, a plain line now and then.

    Warnings and errors are printed as ever.
    """
    before, details.quiet = details.quiet, True
    try:
        yield
    finally:
        details.quiet = before


class Progress:
    """A progress line on the terminal; where there is no terminal, a plain line now and then.

    Args:
        task: What is being done, such as `prepare`.
        total: How many units there are.
        unit: The plural name of a unit, such as `scans`.
        done: Units done before, by an earlier run.
        visible: False on all ranks but the first.
    """

    def __init__(
        self, task: str, *, total: int, unit: str, done: int = 0, visible: bool = True
    ) -> None:
        self._task, self._total, self._unit, self._done = task, total, unit, done
        self._first = done
        self._visible = visible
        self._interactive = visible and console.is_terminal
        self._printed_tenth = 10 * done // max(total, 1)
        self._printed_at = monotonic()
        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(unit),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[quality]}"),
            console=console,
            disable=not self._interactive,
            transient=details.quiet,
        )
        self._id = self._bar.add_task(task, total=total, completed=done, rate="", quality="")

    def __enter__(self) -> Progress:
        """Start the line."""
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the line as it stands."""
        self._bar.stop()

    def advance(self, count: int = 1, *, quality: str = "") -> None:
        """Count units as done, and show the latest quality if there is one."""
        self._done += count
        elapsed = self._bar.tasks[self._id].elapsed or 0.0
        rate = (self._done - self._first) / elapsed if elapsed else 0.0
        fields = {"rate": f"{rate:.3g}/s"} | ({"quality": quality} if quality else {})
        self._bar.update(self._id, completed=self._done, **fields)  # type: ignore[arg-type]
        tenth = 10 * self._done // max(self._total, 1)
        due = tenth > self._printed_tenth and (
            not details.quiet or monotonic() - self._printed_at >= _SPARSELY
        )
        if self._visible and not self._interactive and due:
            self._printed_tenth, self._printed_at = tenth, monotonic()
            left = (self._total - self._done) / rate if rate else 0.0
            console.print(
                f"{self._task}: {self._done}/{self._total} {self._unit}, {rate:.3g}/s, "
                f"{left:.0f} s left {quality or self._bar.tasks[self._id].fields['quality']}",
                highlight=False,
                soft_wrap=True,
            )
