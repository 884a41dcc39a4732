"""A wall clock that can be set while programs run, for all processes that are started with it.

Only root may set the true one, for the whole machine. So each interpreter takes `sitecustomize.py`
from a folder: it adds to `time.time` what a file says at that moment. (`datetime` stays: compiled
libraries rely on its layout. It only dates lines of logs here.)
"""

from __future__ import annotations

import os
from pathlib import Path

_SITE = """
import time
_time, _time_ns, _file = time.time, time.time_ns, {file!r}

def _shift():
    with open(_file) as file:
        return int(file.read())

time.time = lambda: _time() + _shift()
time.time_ns = lambda: _time_ns() + _shift() * 10**9
"""


class Clock:
    """The time of day of processes started with its environment.

    Args:
        folder: To keep it in.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._file = folder / "seconds"
        self.set(0)
        (folder / "sitecustomize.py").write_text(_SITE.format(file=str(self._file)))
        before = os.environ.get("PYTHONPATH", "")
        path = os.pathsep.join(filter(None, [str(folder), before]))
        self.environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}

    def set(self, seconds: int) -> None:
        """Let it be so many seconds ahead of the true time, or behind it."""
        new = self._file.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(self._file)
