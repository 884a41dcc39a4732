"""Sources to notes on many workers: one that fails leaves a note of why, and the others go on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from distributed import KilledWorker

from selfscan.errors import without_names
from selfscan.files import WriteError
from selfscan.progress import Progress
from selfscan.scans.crew import crew, spread
from selfscan.scans.inputs.sources import Source, Unusable
from selfscan.scans.preparation.ingest import ingest
from selfscan.scans.preparation.notes import Note, Settings


def ingest_each(
    sources: Sequence[Source],
    settings: Settings,
    *,
    out: Path | None,
    title: str,
    done: int = 0,
    left_out: int = 0,
    workers: int,
    scheduler: str | None,
) -> Iterator[tuple[Source, Note]]:
    """What became of each source, as workers finish; a progress line counts what was left out.

    Args:
        sources: What to ingest.
        settings: The same for all.
        out: The store; None writes nothing.
        title: What the progress line begins with.
        done: Sources that an earlier run did.
        left_out: Inputs that are left out already.
        workers: Processes on this machine.
        scheduler: Address of a running Dask scheduler.

    Raises:
        WriteError: The store cannot be written to.
    """
    if not sources:
        return
    progress = Progress(title, total=done + len(sources), unit="sources", done=done)
    with crew(min(workers, len(sources)), scheduler) as client, progress:
        for item, found in spread(client, partial(ingest, out=out, settings=settings), sources):
            note = found if isinstance(found, Note) else _failed(item, found)
            left_out += len(note.unusable)
            progress.advance(quality=f"{left_out} left out" if left_out else "")
            yield item, note


def _failed(source: Source, error: BaseException) -> Note:
    """Why a worker failed, where no rule foresaw it; an output that is full ends the run."""
    if isinstance(error, WriteError):
        raise error
    if isinstance(error, KilledWorker):
        reason = (
            "the process that read it was killed, and again when it was read alone; most likely "
            "it does not fit into memory"
        )
    else:
        said = without_names(str(error), (*source.images, *filter(None, [source.labels])))
        reason = f"unforeseen {type(error).__name__}: {said}; please report it"
    return Note("", (), unusable=(Unusable(source.images[0], reason),))
