from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from selfscan.evaluation.plan import Arm, Plan
from selfscan.methods.method import OptimizerConfig
from selfscan.networks.unet3d import UNet3DConfig
from selfscan.training.finetune import FinetuneRecipe


@pytest.fixture
def plan() -> Plan:
    return Plan(
        store=Path("store"),
        store_digest="abc",
        arms=(Arm("scratch"), Arm("genesis", Path("run/best.safetensors"), "d")),
        backbone=UNet3DConfig(),
        window_hu=(-1000.0, 1000.0),
        subsets={4: ("a", "b", "c", "d"), 8: tuple("abcdefgh"), 12: tuple("abcdefghijkl")},
        seeds=(0, 1),
        recipe=FinetuneRecipe(optimizer=OptimizerConfig(learning_rate=2e-3)),
        learning_rates=(),
        train_split="train",
        validation_split="validation",
        test=("t",),
        tolerance_mm=2.0,
    )


def test_a_cell_for_each_arm_number_of_labels_and_seed(plan: Plan) -> None:
    cells = plan.cells({})
    assert len({(cell.arm, cell.labels, cell.seed) for cell in cells}) == len(cells) == 12
    assert len({cell.folder for cell in cells}) == 12
    assert cells[1].folder == Path("cells/genesis/labels-4/seed-0")
    assert {cell.learning_rate for cell in cells} == {2e-3}


def test_arms_take_turns_so_that_a_stopped_comparison_still_compares(plan: Plan) -> None:
    assert [cell.arm.name for cell in plan.cells({})[:4]] == ["scratch", "genesis"] * 2
    assert {cell.seed for cell in plan.cells({})[:6]} == {0}


def test_no_learning_rates_no_trials(plan: Plan) -> None:
    assert plan.trials() == []


def test_learning_rates_are_tried_at_the_middle_and_first(plan: Plan) -> None:
    tried = replace(plan, learning_rates=(1e-3, 3e-3)).trials()
    assert len(tried) == 4
    assert {(cell.labels, cell.seed) for cell in tried} == {(8, 0)}


def test_a_chosen_rate_takes_over_its_trial(plan: Plan) -> None:
    tuned = replace(plan, learning_rates=(1e-3, 3e-3))
    cells = tuned.cells({"scratch": 3e-3, "genesis": 1e-3})
    assert {cell.learning_rate for cell in cells if cell.arm.name == "scratch"} == {3e-3}
    assert sum(cell in tuned.trials() for cell in cells) == 2


def test_only_scratch_beside_another_arm_is_a_baseline(plan: Plan) -> None:
    assert plan.baseline == "scratch"
    assert replace(plan, arms=plan.arms[:1]).baseline is None
    assert replace(plan, arms=plan.arms[1:]).baseline is None


def test_the_first_pretrained_arm_is_pictured(plan: Plan) -> None:
    assert plan.pictured.name == "genesis"
    assert replace(plan, arms=plan.arms[:1]).pictured.name == "scratch"


def test_probes_look_at_random_weights_and_at_no_longer_training(plan: Plan) -> None:
    several = replace(
        plan,
        arms=(*plan.arms, Arm("scratch-long", extra_steps=9)),
        protocols=("finetune", "linear"),
    )
    cells = several.cells({"scratch": 3e-3})
    arms = {
        protocol: list(dict.fromkeys(cell.arm.name for cell in cells if cell.protocol == protocol))
        for protocol in several.protocols
    }
    assert arms["finetune"] == ["scratch", "genesis", "scratch-long"]
    assert arms["linear"] == ["random", "genesis"]
    assert len({cell.folder for cell in cells}) == len(cells) == 30
    long = next(cell for cell in cells if cell.arm.name == "scratch-long")
    assert long.learning_rate == 3e-3
    assert str(cells[3]) == "random, linear probe, 4 labels, seed 0"


def test_only_fine_tuning_tries_learning_rates_and_the_long_arm_does_not(plan: Plan) -> None:
    tuned = replace(plan, learning_rates=(1e-3, 3e-3), arms=(*plan.arms, Arm("scratch-long")))
    assert len(tuned.trials()) == 4
    assert replace(tuned, protocols=("linear",)).trials() == []
