"""Where a run stands: everything that the next step depends on, in one file."""

from __future__ import annotations

import io
import zipfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import nn
from torch.optim import Optimizer

from selfscan.checkpoints.foreign import inflating
from selfscan.errors import SelfscanError
from selfscan.files import written_atomically


@dataclass
class RunState:
    """How far a run is.

    Attributes:
        step: Optimizer steps done.
        best_step: The step of the best validation; 0 while there is none.
        best_value: What it gave.
        sums: Training values added up since they were last written.
        summed: Number of steps behind `sums`.
        told: Monitors whose alarm was raised.
    """

    step: int = 0
    best_step: int = 0
    best_value: float = float("nan")
    sums: dict[str, float] = field(default_factory=dict)
    summed: int = 0
    told: list[str] = field(default_factory=list)

    def add(self, values: dict[str, float]) -> None:
        """Count a step's training values."""
        self.sums = {name: self.sums.get(name, 0.0) + value for name, value in values.items()}
        self.summed += 1

    def take_means(self) -> dict[str, float]:
        """The means since the last call."""
        means = {name: total / self.summed for name, total in self.sums.items()}
        self.sums, self.summed = {}, 0
        return means

    def improved(self, value: float, *, maximize: bool) -> bool:
        """Note a validation at the present step; tell whether it is the best so far."""
        if value != value:
            return False
        better = value > self.best_value if maximize else value < self.best_value
        if self.best_step and not better:
            return False
        self.best_step, self.best_value = self.step, value
        return True


def save_state(path: Path, state: RunState, module: nn.Module, optimizer: Optimizer) -> None:
    """Write all of it at once or not at all."""
    content = {
        "run": asdict(state),
        "module": module.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    # Written by Python: PyTorch's writer does not say that a disk is full.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with written_atomically(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def load_state(path: Path, module: nn.Module, optimizer: Optimizer) -> RunState:
    """Put the module and the optimizer back to where they were; no code in the file can run.

    Raises:
        SelfscanError: The file is not what was written.
    """
    _require_intact(path)
    saved = torch.load(path, map_location="cpu", weights_only=True)
    module.load_state_dict(saved["module"])
    optimizer.load_state_dict(saved["optimizer"])
    return RunState(**saved["run"])


def _require_intact(path: Path) -> None:
    """Compare all parts of the file with the checksums that it holds: PyTorch does not."""
    try:
        with zipfile.ZipFile(path) as file:
            part = inflating(path) or file.testzip()
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        part = str(error)
    if part is not None:
        raise SelfscanError(
            f"{path}: found a damaged file ({part}); expected the state that the run saved; begin "
            f"a new run from its weights with --init {path.parent / 'last.safetensors'}, or this "
            "one again with --overwrite; and look at the disk"
        )
