"""Errors that a user can act on: each says what was found, what was expected and what to do."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from pathlib import Path


class SelfscanError(Exception):
    """An error in what the user gave; the command line shows its message without a traceback.

    Attributes:
        exit_code: What the command line ends with.
    """

    exit_code = 2


class Interrupted(SelfscanError):  # noqa: N818 - an order, not an error, like KeyboardInterrupt
    """A signal asked to stop, and what was done so far is in order.

    Args:
        number: The signal's number; the exit code is 128 more.
        advice: What is kept, and how to go on.
    """

    def __init__(self, number: int, advice: str) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}; {advice}")
        self.exit_code = 128 + number
        self._given = (number, advice)

    def __reduce__(self) -> tuple[object, ...]:
        """Travels between processes whole."""
        return type(self), self._given


class ScanError(SelfscanError):
    """One scan, or one file, that cannot be used.

    Args:
        path: The file or folder at fault.
        found: What is there.
        expected: What should be there.
        remedy: What the user can do about it.
    """

    def __init__(self, path: Path | str, *, found: str, expected: str, remedy: str) -> None:
        super().__init__(f"{path}: found {found}; expected {expected}; {remedy}")
        self.path = Path(path)
        self.found = found
        self.expected = expected
        self.remedy = remedy

    def __reduce__(self) -> tuple[object, ...]:
        """Travels between processes whole: exceptions otherwise lose keyword arguments."""
        return _rebuild_scan_error, (str(self.path), self.found, self.expected, self.remedy)

    @property
    def reason(self) -> str:
        """The message without the path, as tables show it."""
        return f"found {self.found}; expected {self.expected}; {self.remedy}"


class ContractError(SelfscanError):
    """Data prepared one way meet a model that was trained on data prepared another way."""


def without_names(text: str, files: Iterable[Path]) -> str:
    """What another program says of files, without their names, which may be those of patients.

    Whoever shows it names the file beside it, where names belong.
    """
    for file in files:
        for name in (str(file.resolve()), str(file), file.name):
            text = text.replace(name, "the file")
    return text


def _rebuild_scan_error(path: str, found: str, expected: str, remedy: str) -> ScanError:
    return ScanError(path, found=found, expected=expected, remedy=remedy)
