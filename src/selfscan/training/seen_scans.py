"""Which scans had a part in a run's weights, noted in its folder."""

from __future__ import annotations

from pathlib import Path

from selfscan.checkpoints.checkpoint import resolve
from selfscan.progress import console
from selfscan.scans.seen import FILE, Seen
from selfscan.scans.store import Store


def note_seen(out: Path, scans: Store, held: Store, *, init: Path | None) -> None:
    """Write `seen.parquet` into a run folder that has none.

    Args:
        out: The run folder.
        scans: What is trained on.
        held: What chooses the best checkpoint.
        init: The checkpoint that the run goes on from, whose scans count too; where they are not
            known, nothing is written, as a part would pass for the whole.
    """
    if (out / FILE).exists():
        return
    earlier = [] if init is None else [Seen.read(resolve(init).parent)]
    if None in earlier:
        console.print(
            f"note: {init} has no {FILE} beside it, so that what this run saw cannot be noted; "
            "give `compare` the stores by --pretraining_stores",
            soft_wrap=True,
            highlight=False,
        )
        return
    Seen.of(scans, held).with_([seen for seen in earlier if seen is not None]).write(out)
