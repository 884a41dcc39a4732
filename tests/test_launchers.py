"""Runs that SLURM or torchrun start: stopped, they leave their state, and go on from it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from labelled_store import write_store

from selfscan.flags import parse
from selfscan.training.engine import EngineConfig
from selfscan.training.pretrain import pretrain

SCRIPT = Path(__file__).parents[1] / "examples" / "slurm" / "pretrain.sbatch"
STEPS = 30
FLAGS = (
    "--method.crop_size 16 16 16 --method.shuffle_windows 20 --backbone unet3d --backbone.width 1 "
    f"--recipe.steps {STEPS} --recipe.validation_examples 2 --recipe.log_every 1 "
    "--engine.accelerator cpu --engine.threads 1"
).split()
# What srun does, on one node: a process a task, told which it is, that hears what srun hears.
SRUN = """#!{python}
import os, signal, subprocess, sys
command = sys.argv[1:]
while command[0].startswith("--"):
    command.pop(0)
tasks = int(os.environ["SLURM_NTASKS"])
step = {{"SLURM_STEP_NUM_TASKS": str(tasks), "SLURM_STEP_NUM_NODES": "1", "SLURM_NODEID": "0"}}
running = [
    subprocess.Popen(
        [sys.executable, "-m", *command],
        env=os.environ | step | {{"SLURM_PROCID": str(task), "SLURM_LOCALID": str(task)}},
    )
    for task in range(tasks)
]
signal.signal(signal.SIGUSR1, lambda number, frame: [task.send_signal(number) for task in running])
codes = [task.wait() for task in running]
sys.exit(max(code if code >= 0 else 128 - code for code in codes))
"""
NOTED = """#!/bin/bash
printf '%s\\n' "$@" >> {file}
"""


def program(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def job(folder: Path) -> dict[str, str]:
    """The environment of a job of two tasks on one node, whose SLURM is in this folder."""
    program(folder, "scontrol", NOTED.format(file=folder / "told"))
    return {
        **os.environ,
        "PATH": f"{folder}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "SLURM_JOB_ID": "4711",
        "SLURM_JOB_NAME": "selfscan",
        "SLURM_NNODES": "1",
        "SLURM_NTASKS": "2",
        "SLURM_NTASKS_PER_NODE": "2",
        "SLURM_CPUS_PER_TASK": "2",
        "SLURM_NODELIST": "localhost",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
    }


def step_reached(out: Path, least: int, process: subprocess.Popen[bytes]) -> None:
    end, reached = time.monotonic() + 300, 0
    while reached < least:
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)
        metrics = out / "metrics.csv"
        rows = metrics.read_text().splitlines()[1:] if metrics.exists() else []
        reached = max((int(row.split(",")[0]) for row in rows if "," in row), default=0)


def saved_step(out: Path) -> int:
    return int(torch.load(out / "state.ckpt", weights_only=True)["run"]["step"])


def test_the_header_asks_for_what_the_script_needs() -> None:
    subprocess.run(["bash", "-n", SCRIPT], check=True)
    asked = dict(re.findall(r"^#SBATCH --([a-z-]+)=?(.*)$", SCRIPT.read_text(), re.MULTILINE))
    assert (asked["nodes"], asked["ntasks-per-node"], asked["gpus-per-node"]) == ("2", "4", "4")
    # One process a GPU; the signal is the script's own to pass on; nothing of a log is lost.
    assert re.fullmatch(r"B:USR1@\d+", asked["signal"])
    assert "requeue" in asked
    assert asked["open-mode"] == "append"


def test_the_command_of_the_script_is_one_of_ours(tmp_path: Path) -> None:
    slurm = tmp_path / "slurm"
    environment = job(slurm) | {"SLURM_CPUS_PER_TASK": "8"}
    program(slurm, "srun", NOTED.format(file=slurm / "started"))
    given = ["store", "run", "--method", "vox2vec"]
    subprocess.run(["bash", SCRIPT, *given], env=environment, check=True)
    assert not (slurm / "told").exists()
    option, *command = (slurm / "started").read_text().splitlines()
    assert (option, *command[:2]) == ("--kill-on-bad-exit=1", "selfscan", "pretrain")
    parsed = parse(pretrain, command[2:], program="selfscan pretrain", description="")
    assert (parsed["store"], parsed["out"], parsed["resume"]) == (Path("store"), Path("run"), True)
    assert parsed["engine"] == EngineConfig(workers=7)
    assert subprocess.run(["bash", SCRIPT, "store"], env=environment).returncode == 2


def test_a_job_that_fails_is_not_put_back(tmp_path: Path) -> None:
    slurm = tmp_path / "slurm"
    environment = job(slurm)
    program(slurm, "srun", "#!/bin/bash\nexit 7\n")
    assert subprocess.run(["bash", SCRIPT, "store", "run"], env=environment).returncode == 7
    assert not (slurm / "told").exists()


@pytest.mark.slow
def test_a_job_whose_time_is_up_is_put_back_and_goes_on(tmp_path: Path) -> None:
    slurm, store = tmp_path / "slurm", write_store(tmp_path / "store")
    environment = job(slurm)
    program(slurm, "srun", SRUN.format(python=sys.executable))

    def start(out: Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen(["bash", SCRIPT, store, out, *FLAGS], env=environment)

    whole, halted = tmp_path / "whole", tmp_path / "halted"
    assert start(whole).wait() == 0
    process = start(halted)
    step_reached(halted, 3, process)
    process.send_signal(signal.SIGUSR1)
    assert process.wait() == 0
    assert (slurm / "told").read_text() == "requeue\n4711\n"
    assert 3 <= saved_step(halted) < STEPS
    assert start(halted).wait() == 0
    assert (slurm / "told").read_text() == "requeue\n4711\n"
    for name in ("last.safetensors", "best.safetensors", "metrics.csv"):
        assert (halted / name).read_bytes() == (whole / name).read_bytes()


def of_torchrun(store: Path, out: Path) -> list[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m"]
    return [*launcher, "selfscan", "pretrain", str(store), str(out), *FLAGS]


def of_lightning(store: Path, out: Path) -> list[str]:
    return ["-m", "selfscan", "pretrain", str(store), str(out), *FLAGS, "--engine.devices", "2"]


@pytest.mark.slow
@pytest.mark.parametrize("launched", [of_torchrun, of_lightning])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_processes_leaves_the_state_of_that_step(
    tmp_path: Path, launched: Callable[[Path, Path], list[str]], number: int
) -> None:
    store, out = write_store(tmp_path / "store"), tmp_path / "run"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, *launched(store, out)], env=environment, start_new_session=True
    )
    step_reached(out, 3, process)
    os.killpg(process.pid, number)
    assert process.wait() != 0
    # No checkpoint was due before the last step.
    assert 3 <= saved_step(out) < STEPS
