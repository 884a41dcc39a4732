"""A run folder belongs to one run: claimed before work starts, and resumed by the same command."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml
from lightning_fabric import Fabric

from selfscan.configuration import changes, save_config
from selfscan.errors import SelfscanError
from selfscan.files import claim_folder

# What a resumed run may change: none of these decides what is learned. Another number of devices
# does, but a preempted run must be able to go on where there is room.
_FREE = ("out", "resume", "overwrite", "engine", "recipe.checkpoint_every", "recipe.log_every")


def open_run_folder(
    out: Path,
    arguments: Mapping[str, object],
    *,
    fabric: Fabric,
    resume: bool,
    overwrite: bool,
) -> None:
    """Claim the folder and write `config.yaml`, on the first rank; all ranks hear how it went.

    Args:
        out: The run folder.
        arguments: The verb's resolved arguments by name.
        fabric: Launched.
        resume: Go on with what the folder holds; the arguments must be the same.
        overwrite: Delete what the folder holds.

    Raises:
        SelfscanError: The folder is not empty and neither flag is given, or it was begun with other
            arguments.
    """
    message = ""
    if fabric.is_global_zero:
        try:
            claim_folder(out, resume=resume, overwrite=overwrite)
            _require_same(out, arguments)
            save_config(out, arguments)
        except SelfscanError as error:
            message = str(error)
    if message := fabric.broadcast(message):
        raise SelfscanError(message)


def _require_same(out: Path, arguments: Mapping[str, object]) -> None:
    path = out / "config.yaml"
    if not path.exists():
        return
    differing = [
        f"{name} {now} where it was {before}"
        for name, (before, now) in changes(yaml.safe_load(path.read_text()), arguments).items()
        if not any(name == free or name.startswith(f"{free}.") for free in _FREE)
    ]
    if differing:
        raise SelfscanError(
            f"{out}: found a run with other arguments: {'; '.join(differing)}; expected the same "
            "command to --resume it; give the same arguments, or another folder"
        )
