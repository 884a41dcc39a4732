from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from small_store import NETWORK, write_small_store

from selfscan.errors import SelfscanError
from selfscan.evaluation.budget import Costs, fit_budget, parse_duration, print_costs, remaining
from selfscan.evaluation.plan import Arm, Plan
from selfscan.training.finetune import FinetuneRecipe

COSTS = Costs(start=2.0, step=0.1, case=1.0, model_bytes=5_000_000)
# Of one cell of 100 steps: start, steps, one look at one validation case, four test cases.
CELL = 2 + 10 + 1 + 4


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return Plan(
        store=write_small_store(tmp_path_factory.mktemp("data") / "store"),
        store_digest="",
        arms=(Arm("scratch"), Arm("genesis", Path("best.safetensors"))),
        backbone=NETWORK,
        window_hu=(-1000.0, 1000.0),
        subsets={1: ("a",), 2: ("a", "b"), 3: ("a", "b", "c")},
        seeds=(0, 1, 2, 3),
        recipe=FinetuneRecipe(steps=100),
        learning_rates=(),
        train_split="train",
        validation_split="validation",
        test=("scan-6", "scan-7", "scan-8", "scan-9"),
        tolerance_mm=2.0,
    )


def test_the_time_of_a_cell_by_hand(plan: Plan) -> None:
    assert COSTS.seconds(plan.cells({})[0], plan) == CELL
    looked = replace(plan, recipe=FinetuneRecipe(steps=100, validate_every=25))
    assert COSTS.seconds(plan.cells({})[0], looked) == CELL + 3
    longer = plan.cell(Arm("scratch-long", extra_steps=50), 1, 0)
    assert COSTS.seconds(longer, plan) == CELL + 5
    frozen = plan.probe_cell("linear", plan.arms[1], 3, 0)
    assert COSTS.seconds(frozen, plan) == 2 + 3 + 1 + 4


def test_a_trial_is_made_use_of_by_its_cell(plan: Plan, tmp_path: Path) -> None:
    tuned = replace(plan, seeds=(0,), subsets={1: ("a",)}, learning_rates=(1e-3, 3e-3))
    # Four trials without test cases; of the two cells only the test cases are left.
    assert sum(t for _, t in remaining(tuned, COSTS, tmp_path)) == 4 * (CELL - 4) + 2 * 4


def test_what_is_done_costs_nothing(plan: Plan, tmp_path: Path) -> None:
    first = plan.cells({})[0]
    (tmp_path / first.folder).mkdir(parents=True)
    (tmp_path / first.folder / "cases.parquet").touch()
    assert len(remaining(plan, COSTS, tmp_path)) == len(plan.cells({})) - 1 == 23


def test_what_fits_is_kept_whole(plan: Plan, tmp_path: Path) -> None:
    kept, left_out = fit_budget(plan, COSTS, tmp_path, seconds=24 * CELL, workers=1)
    assert (kept, left_out) == (plan, [])
    # Twice the workers do it in half the time.
    assert fit_budget(plan, COSTS, tmp_path, seconds=12 * CELL, workers=2)[1] == []


def test_luxuries_go_first(plan: Plan, tmp_path: Path) -> None:
    rich = replace(
        plan,
        arms=(*plan.arms, Arm("scratch-long", extra_steps=50)),
        learning_rates=(1e-3, 3e-3),
    )
    kept, left_out = fit_budget(rich, COSTS, tmp_path, seconds=6 * CELL, workers=1)
    assert left_out == [
        "seed 3",
        "the arm scratch-long",
        "2 labelled cases",
        "the choice of a learning rate for each arm",
        "3 labelled cases",
    ]
    assert (kept.seeds, list(kept.subsets), len(kept.arms)) == ((0, 1, 2), [1], 2)


def test_a_budget_for_less_than_one_run_an_arm_is_refused(plan: Plan, tmp_path: Path) -> None:
    kept, _ = fit_budget(plan, COSTS, tmp_path, seconds=2 * CELL, workers=1)
    assert len(kept.cells({})) == 2
    with pytest.raises(SelfscanError, match=r"takes about 34 s.*budget of 33 s"):
        fit_budget(plan, COSTS, tmp_path, seconds=2 * CELL - 1, workers=1)


def test_the_plan_is_printed(
    plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tuned = replace(plan, learning_rates=(1e-3, 3e-3), protocols=("finetune", "linear"))
    print_costs(tuned, COSTS, tmp_path, workers=2)
    lines = capsys.readouterr().err.splitlines()
    rows = [line.split() for line in lines if "scratch" in line or "random" in line]
    assert rows == [
        ["learning", "rates", "scratch", "2", "100", "26", "s", "20", "MB"],
        ["finetune", "scratch", "12", "100", "3", "min", "120", "MB"],
        ["linear", "random", "12", "–", "2", "min", "0", "MB"],
    ]
    assert "about" in lines[-1]
    assert "0.1 s a step" in lines[-1]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("45m", 2700), ("45 min", 2700), ("2h", 7200), ("1.5d", 129600)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "-1h", "0h", "2 weeks"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="such as 45m"):
        parse_duration(text)
