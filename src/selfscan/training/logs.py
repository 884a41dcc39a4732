"""What a run writes down as it goes: metrics as CSV and for TensorBoard, and a plain log."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from rich.markup import escape
from torch.utils.tensorboard import SummaryWriter

from selfscan.files import writing, written_atomically
from selfscan.progress import console, details

_HEADER = ("step", "name", "value")


class RunLog:
    """Writes `metrics.csv` (step, name, value), `tensorboard/` and `log.txt` of a run folder.

    Args:
        folder: The run folder.
        step: Steps done before; what a killed run wrote after that step is dropped.
        visible: False on all ranks but the first, where nothing is written.
    """

    def __init__(self, folder: Path, *, step: int = 0, visible: bool = True) -> None:
        self._visible = visible
        if not visible:
            return
        self._folder, metrics = folder, folder / "metrics.csv"
        with writing(folder):
            self._text = (folder / "log.txt").open("a")
            _keep_rows(metrics, last_step=step)
            self._file = metrics.open("a", newline="")
            self._rows = csv.writer(self._file, lineterminator="\n")
            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Write named values after so many steps."""
        if not self._visible:
            return
        with writing(self._folder):
            for name, value in values.items():
                self._rows.writerow((step, name, repr(float(value))))
                self._board.add_scalar(name, value, step)
            self._file.flush()

    def rate(self, step: int, steps_per_second: float) -> None:
        """Show the speed on TensorBoard only: it differs from run to run."""
        if self._visible:
            with writing(self._folder):
                self._board.add_scalar("steps_per_second", steps_per_second, step)

    def say(self, message: str, *, warning: bool = False) -> None:
        """Write a line to the log, and to the terminal if it warns or the run is alone."""
        if not self._visible:
            return
        now = datetime.now(UTC).isoformat(timespec="seconds")
        mark = "warning: " if warning else ""
        with writing(self._folder):
            self._text.write(f"{now} {mark}{message}\n")
            self._text.flush()
        style = "yellow" if warning else ""
        outlet = console if warning else details
        outlet.print(f"{mark}{escape(message)}", style=style, soft_wrap=True, highlight=False)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Note how the run ended, and close the files."""
        if not self._visible:
            return
        # On a full disk closing fails too, and it is the first error that counts.
        with writing(self._folder) if error is None else suppress(OSError):
            if error is not None:
                now = datetime.now(UTC).isoformat(timespec="seconds")
                self._text.write(f"{now} {type(error).__name__}: {error}\n")
            for file in (self._text, self._file, self._board):
                file.close()


def _keep_rows(path: Path, *, last_step: int) -> None:
    """Drop rows after a step, and a last line that was cut off; write the header to a new file."""
    kept = [_HEADER]
    if path.exists():
        with path.open(newline="") as file:
            for row in list(csv.reader(file))[1:]:
                if len(row) == len(_HEADER) and int(row[0]) <= last_step:
                    kept.append((row[0], row[1], row[2]))
    with written_atomically(path) as temporary, temporary.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(kept)
