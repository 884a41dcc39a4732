"""Every method, stopped anywhere and resumed, ends in the bytes of a run that was never stopped.

With workers, several batches a step and mixed precision, in one process and in two.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from every_method import CHECKPOINT_EVERY, METHODS, STEPS, STOP_AFTER, TORCHRUN, run_all, write_data

ENGINE = {"precision": "bf16-mixed", "workers": 1}
PAIR = {**ENGINE, "devices": 2}


def state(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(out / "state.ckpt", weights_only=True)
    return found


def steps_done(out: Path) -> int:
    return int(state(out)["run"]["step"])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def alone(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of one process: never stopped, asked to stop, and lost, both resumed in another."""
    out = tmp_path_factory.mktemp("alone")
    ends = [{"into": end, "end": end} for end in ("asked", "lost")]
    run_all(data, out, [{**job, "engine": ENGINE} for job in ({"into": "whole"}, *ends)])
    assert {steps_done(out / "asked" / name) for name in METHODS} == {STOP_AFTER}
    assert {steps_done(out / "lost" / name) for name in METHODS} == {CHECKPOINT_EVERY}
    resumed = [{"into": end, "engine": ENGINE, "resume": True} for end in ("asked", "lost")]
    run_all(data, out, resumed)
    return out


@pytest.fixture(scope="module")
def pair(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of two processes of torchrun; resumed in two that Lightning starts."""
    out = tmp_path_factory.mktemp("pair")
    jobs = [{"into": "whole", "engine": PAIR}, {"into": "asked", "end": "asked", "engine": PAIR}]
    run_all(data, out, jobs, *TORCHRUN)
    assert {steps_done(out / "asked" / name) for name in METHODS} == {STOP_AFTER}
    run_all(data, out, [{"into": "asked", "engine": PAIR, "resume": True}])
    return out


def assert_equal(resumed: Path, whole: Path) -> None:
    assert steps_done(resumed) == STEPS
    for name in ("last.safetensors", "best.safetensors", "metrics.csv"):
        assert (resumed / name).read_bytes() == (whole / name).read_bytes(), name
    # Not its bytes, which also tell what strings were one object when they were written.
    found, expected = state(resumed), state(whole)
    assert found.pop("run") == expected.pop("run")
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("end", ["asked", "lost"])
@pytest.mark.parametrize("name", METHODS)
def test_one_process_resumes_exactly(alone: Path, name: str, end: str) -> None:
    assert_equal(alone / end / name, alone / "whole" / name)


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_two_processes_resume_exactly(pair: Path, name: str) -> None:
    assert_equal(pair / "asked" / name, pair / "whole" / name)
