"""The engine: arguments refused, precision chosen for the device."""

from __future__ import annotations

import platform
import resource

import pytest
import torch

from selfscan.training.engine import EngineConfig
from selfscan.training.segmentation import inference_fabric


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"accelerator": "abacus"}, "accelerator must be one of auto, cpu, cuda, mps"),
        ({"strategy": "fsdp"}, "strategy must be one of auto, ddp"),
        ({"precision": "16-mixed"}, "got '16-mixed'"),
        ({"devices": 0}, "devices must be at least 1, got 0"),
        ({"workers": -1}, "workers must be at least 0, got -1"),
        ({"threads": 0}, "threads must be at least 1, or None"),
    ],
)
def test_values_without_a_meaning_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EngineConfig(**arguments)  # type: ignore[arg-type]


def test_a_cpu_computes_in_float32_whatever_it_could_multiply(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True}, raising=False)
    fabric = EngineConfig(accelerator="cpu").fabric()
    with fabric.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_a_given_precision_and_number_of_threads_are_used() -> None:
    fabric = EngineConfig(accelerator="cpu", precision="bf16-mixed", threads=2).fabric()
    with fabric.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    assert torch.get_num_threads() == 2
    assert (fabric.world_size, fabric.global_rank) == (1, 0)


TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"}
JOB = {"SLURM_NTASKS": "6", "SLURM_NTASKS_PER_NODE": "3", "SLURM_JOB_NAME": "pretrain"}
STEP = {**JOB, "SLURM_STEP_NUM_TASKS": "6", "SLURM_STEP_NUM_NODES": "2"}


@pytest.mark.parametrize(
    ("environment", "processes"),
    [
        ({}, (1, 1)),
        (TORCHRUN, (4, 2)),
        (STEP, (3, 2)),
        (JOB, (1, 1)),  # the script of a job, without srun
        ({**STEP, "SLURM_JOB_NAME": "bash"}, (1, 1)),  # a shell for one's own launcher
    ],
    ids=["nothing", "torchrun", "srun", "sbatch", "shell"],
)
def test_processes_are_those_that_were_started(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], processes: tuple[int, int]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert EngineConfig().processes() == processes
    devices, nodes = processes
    assert EngineConfig(devices=devices, nodes=nodes).processes() == processes
    if processes != (1, 1):
        expected = rf"must be {devices} and {nodes}, which were started, or left out, got 5 and 1"
        with pytest.raises(ValueError, match=expected):
            EngineConfig(devices=5).processes()
        with pytest.raises(ValueError, match=f"runs on one device.* got {devices} and {nodes}"):
            inference_fabric(EngineConfig())


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
def test_freed_memory_is_used_again() -> None:
    EngineConfig(accelerator="cpu").fabric()
    pages = 2**26 // resource.getpagesize()
    faults = []
    for _ in range(12):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.ones(2**24)
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    # The first ones may still find no gap that fits.
    assert max(faults[6:]) < pages / 10
