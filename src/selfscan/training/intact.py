"""Stored files are compared with their digests before any of them is learned from."""

from __future__ import annotations

from collections.abc import Sequence

from lightning_fabric import Fabric

from selfscan.errors import ScanError
from selfscan.scans.integrity import require_intact
from selfscan.scans.store import Store
from selfscan.training.engine import EngineConfig


def require_intact_on_each_node(engine: EngineConfig, fabric: Fabric, *stores: Store) -> None:
    """Check the files of scans, once on each machine; all ranks hear how it went.

    The first machine goes ahead: where all have one store, the others find what it remembers.

    Args:
        engine: Whether to check at all.
        fabric: Launched.
        stores: The scans that will be read.

    Raises:
        ScanError: A file is missing or is not what `prepare` wrote.
    """
    if not engine.check_files:
        return
    error = _damage_in(stores) if fabric.is_global_zero else None
    if heard := fabric.broadcast(error):
        raise heard
    # Where nodes have copies of their own, one of them may be damaged and the first not.
    if fabric.local_rank == 0 and not fabric.is_global_zero and (error := _damage_in(stores)):
        raise error
    fabric.barrier()


def _damage_in(stores: Sequence[Store]) -> ScanError | None:
    try:
        require_intact(*stores)
    except ScanError as found:
        return found
    return None
