from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from labelled_store import write_store

from selfscan.errors import ScanError
from selfscan.scans.store import Store
from selfscan.training.engine import EngineConfig
from selfscan.training.intact import require_intact_on_each_node


def rank(number: int, local: int, heard: ScanError | None = None) -> SimpleNamespace:
    """A process among others, and what the first one sends."""
    return SimpleNamespace(
        is_global_zero=number == 0,
        local_rank=local,
        broadcast=lambda error: error if number == 0 else heard,
        barrier=lambda: None,
    )


@pytest.fixture
def damaged(tmp_path: Path) -> Store:
    path = write_store(tmp_path / "store")
    (path / "volumes" / "scan-1.b2nd").unlink()
    return Store(path)


@pytest.mark.parametrize("first_of_node", [rank(0, 0), rank(2, 0)])
def test_the_first_process_of_each_machine_checks(damaged: Store, first_of_node) -> None:
    with pytest.raises(ScanError, match=r"scan-1.b2nd: found no file"):
        require_intact_on_each_node(EngineConfig(), first_of_node, damaged)


def test_others_hear_of_damage_and_read_nothing(damaged: Store) -> None:
    require_intact_on_each_node(EngineConfig(), rank(1, 1), damaged)
    error = ScanError(Path("x"), found="a", expected="b", remedy="c")
    with pytest.raises(ScanError, match="found a"):
        require_intact_on_each_node(EngineConfig(), rank(1, 1, error), damaged)
