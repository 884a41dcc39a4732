"""Two processes learn, by every method, what one learns from both their batches."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from every_method import METHODS, TORCHRUN, run_all, write_data
from torch import Tensor

from selfscan.checkpoints.checkpoint import load

# Not means over examples: what is found among others, or varies, in the batch of one process.
OF_A_BATCH = ("retrieval", "contrast")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data, out = write_data(tmp_path_factory.mktemp("data")), tmp_path_factory.mktemp("runs")
    engine = {"precision": "32-true"}
    alone = [{"into": "one", "batches": 2}, {"into": "half"}]
    run_all(data, out, [{**job, "engine": engine, "joint": True} for job in alone])
    # What torchrun started need not be asked for again.
    run_all(data, out, [{"into": "torchrun", "engine": engine, "joint": True}], *TORCHRUN)
    pair = {**engine, "devices": 2}
    run_all(data, out, [{"into": "lightning", "engine": pair, "joint": True}])
    return out


def weights(out: Path) -> Tensor:
    found = load(out / "last.safetensors").weights
    return torch.cat([found[name].double().flatten() for name in sorted(found)])


def metrics(out: Path) -> dict[tuple[str, str], float]:
    with (out / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {(row["step"], row["name"]): float(row["value"]) for row in rows}


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["torchrun", "lightning"])
@pytest.mark.parametrize("name", METHODS)
def test_two_processes_learn_what_one_learns_from_both_their_batches(
    runs: Path, name: str, launcher: str
) -> None:
    one, half, two = (weights(runs / into / name) for into in ("one", "half", launcher))
    # Of one rank's batches alone it learns something else.
    assert (half - one).norm() > 1e-4
    assert (two - one).norm() < 1e-8


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_what_is_logged_is_of_all_processes(runs: Path, name: str) -> None:
    one, two = metrics(runs / "one" / name), metrics(runs / "torchrun" / name)
    trained = [key for key in one if key[1].startswith("train/")]
    assert {key for key in two if key[1].startswith("train/")} == set(trained)
    for key in trained:
        if not key[1].endswith(OF_A_BATCH):
            assert two[key] == pytest.approx(one[key], rel=1e-5, abs=1e-6), key
