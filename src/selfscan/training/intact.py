"""Stored files are compared with their digests before any of them is learned from."""

from __future__ import annotations

from lightning_fabric import Fabric

from selfscan.errors import ScanError
from selfscan.scans.integrity import require_intact
from selfscan.scans.store import Store
from selfscan.training.engine import EngineConfig


def require_intact_on_each_node(engine: EngineConfig, fabric: Fabric, *stores: Store) -> None:
    """Check the files of scans, once on each machine; all ranks hear how it went.

    Args:
        engine: Whether to check at all.
        fabric: Launched.
        stores: The scans that will be read.

    Raises:
        ScanError: A file is missing or is not what `prepare` wrote.
    """
    if not engine.check_files:
        return
    error: ScanError | None = None
    if fabric.local_rank == 0:
        try:
            require_intact(*stores)
        except ScanError as found:
            error = found
    if heard := fabric.broadcast(error):
        raise heard
    # Where nodes have copies of their own, one of them may be damaged and the first not.
    if error is not None:
        raise error
    fabric.barrier()
