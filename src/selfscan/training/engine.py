"""Where training runs: devices, processes and precision, on Lightning Fabric."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment

Accelerator = Literal["auto", "cpu", "cuda", "mps"]
Strategy = Literal["auto", "ddp", "ddp_find_unused_parameters_true"]
Precision = Literal["auto", "32-true", "bf16-mixed"]

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # numbers of glibc's mallopt


@dataclass(frozen=True)
class EngineConfig:
    """Devices, processes and precision; torchrun and SLURM are recognized by their environment.

    Every process holds the whole network (DDP): the networks here fit on one device, and a run can
    then be resumed to the bit from one file. float16 is not offered for the same reason: its loss
    scaling skips steps.

    Attributes:
        accelerator: `auto` takes a GPU where there is one.
        devices: Devices on each node. Under torchrun and srun it may be left out: each process that
            they start takes one.
        nodes: Machines that train together; likewise.
        strategy: `auto` is DDP on several devices; `ddp_find_unused_parameters_true` is for methods
            that leave a part of the network out of some steps.
        precision: `auto` is `bf16-mixed` on a GPU that multiplies bfloat16 in hardware and
            `32-true` elsewhere. On a CPU PyTorch's bfloat16 convolutions may give weight gradients
            that are not even finite where a map has two cells along an axis
            (`benchmarks/bfloat16_gradients.py`), as the coarsest maps of small crops do.
        workers: Processes that read crops ahead, on each device; 0 reads between steps.
        threads: Threads of CPU operations; None leaves PyTorch's choice. Results to the last bit
            hold for a fixed number only.
        check_files: Whether the files of a store are compared with their digests before they are
            used. Each is read once more for it; a large store remembers what was found whole, and
            only what is new or has changed is read again.
    """

    accelerator: Accelerator = "auto"
    devices: int = 1
    nodes: int = 1
    strategy: Strategy = "auto"
    precision: Precision = "auto"
    workers: int = 0
    threads: int | None = None
    check_files: bool = True

    def __post_init__(self) -> None:
        """Refuse values without a meaning."""
        for name, allowed in (
            ("accelerator", Accelerator),
            ("strategy", Strategy),
            ("precision", Precision),
        ):
            if getattr(self, name) not in get_args(allowed):
                raise ValueError(
                    f"{name} must be one of {', '.join(get_args(allowed))}, "
                    f"got {getattr(self, name)!r}"
                )
        for name, least in (("devices", 1), ("nodes", 1), ("workers", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"threads must be at least 1, or None, got {self.threads}")

    def processes(self) -> tuple[int, int]:
        """Processes on each node, and nodes: what torchrun or srun started, or what is asked for.

        Raises:
            ValueError: Others were asked for than were started.
        """
        started, asked = _started_processes(), (self.devices, self.nodes)
        if started is None or asked == started:
            return asked
        if asked != (1, 1):
            raise ValueError(
                f"devices and nodes must be {started[0]} and {started[1]}, which were started, or "
                f"left out, got {asked[0]} and {asked[1]}"
            )
        return started

    def fabric(self) -> Fabric:
        """Start the processes and give this one its place among them.

        The convolution algorithms of a GPU are held fixed, so that equal steps give equal bits.

        Raises:
            ValueError: As in `processes`.
        """
        devices, nodes = self.processes()
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        _keep_freed_memory()
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
        fabric = Fabric(
            accelerator=self.accelerator,
            devices=devices,
            num_nodes=nodes,
            strategy=self.strategy,
            precision=self._precision(),
        )
        fabric.launch()
        return fabric

    def _precision(self) -> Literal["32-true", "bf16-mixed"]:
        if self.precision != "auto":
            return self.precision
        quick = (
            self.accelerator in ("auto", "cuda")
            and torch.cuda.is_available()
            and torch.cuda.is_bf16_supported(including_emulation=False)
        )
        return "bf16-mixed" if quick else "32-true"


def _started_processes() -> tuple[int, int] | None:
    if TorchElasticEnvironment.detect():
        everywhere, here = int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_WORLD_SIZE"])
        return here, everywhere // here
    # The script of a job has no step: SLURM names tasks there that nobody started.
    if "SLURM_STEP_NUM_TASKS" in os.environ and SLURMEnvironment.detect():
        nodes = int(os.environ["SLURM_STEP_NUM_NODES"])
        return int(os.environ["SLURM_STEP_NUM_TASKS"]) // nodes, nodes
    return None


def _keep_freed_memory() -> None:
    """Have the C library keep what is freed for the next allocation, where it is glibc.

    Each large tensor is otherwise given back to the system and faulted in again, page by page.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        library.mallopt(_M_MMAP_MAX, 0)
        library.mallopt(_M_TRIM_THRESHOLD, -1)
