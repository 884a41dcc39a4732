from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_store import NETWORK, write_run, write_small_store

from selfscan.errors import ContractError, SelfscanError
from selfscan.evaluation.plan import Plan
from selfscan.evaluation.planning import choose_subsets, make_plan, name_arms, settle
from selfscan.scans.contract import PreprocessingContract
from selfscan.scans.store import Store
from selfscan.training.finetune import FinetuneRecipe
from selfscan.training.tasks import SegmentationTask

MakePlan = Callable[..., Plan]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_store(tmp_path_factory.mktemp("data") / "store")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "genesis")


@pytest.fixture
def plan_of(store: Path, run: Path) -> MakePlan:
    def make(**changes: Any) -> Plan:
        arguments: dict[str, Any] = {
            "labels": [2, 4],
            "checkpoints": [run],
            "seeds": [0, 1],
            "backbone": None,
            "recipe": FinetuneRecipe(),
            "learning_rates": [],
            "subsets": None,
            "splits": ("train", "validation", "test"),
            "scratch": True,
            "tolerance_mm": 2.0,
        }
        return make_plan(store, **arguments | changes)

    return make


def test_every_arm_shares_what_the_first_checkpoint_says(plan_of: MakePlan) -> None:
    plan = plan_of()
    assert plan.backbone == NETWORK
    assert plan.recipe.crop_size == (16, 16, 16)
    assert plan.window_hu == (-500.0, 500.0)
    assert [arm.name for arm in plan.arms] == ["scratch", "genesis"]
    assert plan.test == ("scan-6", "scan-7", "scan-8", "scan-9")


def test_default_subsets_nest(plan_of: MakePlan) -> None:
    subsets = plan_of().subsets
    assert [len(ids) for ids in subsets.values()] == [2, 4]
    assert subsets[4][:2] == subsets[2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": []}, "labels"),
        ({"labels": [2, 2]}, "labels"),
        ({"seeds": []}, "seeds"),
        ({"seeds": [1, 1]}, "seeds"),
        ({"learning_rates": [0.0]}, "learning_rates"),
        ({"tolerance_mm": -1.0}, "tolerance_mm"),
        ({"protocols": []}, "protocols"),
        ({"protocols": ["linear", "linear"]}, "protocols"),
        ({"protocols": ["deep"]}, "finetune, linear, nonlinear"),
        ({"checkpoints": [], "backbone": NETWORK}, "crop_size"),
    ],
)
def test_arguments_out_of_range(plan_of: MakePlan, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan_of(**changes)


def test_nothing_to_compare(plan_of: MakePlan) -> None:
    with pytest.raises(SelfscanError, match="nothing to compare"):
        plan_of(checkpoints=[], scratch=False)


def test_too_few_cases(plan_of: MakePlan) -> None:
    with pytest.raises(SelfscanError, match="found 5 labelled scans"):
        plan_of(labels=[6])


def test_no_validation_cases_to_choose_a_rate_by(plan_of: MakePlan) -> None:
    with pytest.raises(SelfscanError, match="choose a learning rate"):
        plan_of(learning_rates=[1e-3], splits=("train", "nothing", "test"))


def test_a_checkpoint_of_other_preprocessing(plan_of: MakePlan, tmp_path: Path) -> None:
    other = write_run(tmp_path / "other", contract=PreprocessingContract(spacing=(1.0, 1.0, 1.0)))
    with pytest.raises(ContractError, match="spacing"):
        plan_of(checkpoints=[other])


def test_arms_of_one_name_are_numbered(run: Path, tmp_path: Path) -> None:
    twin = write_run(tmp_path / "elsewhere" / "genesis")
    arms = name_arms([run, twin, run / "best.safetensors"], scratch=False)
    assert [arm.name for arm in arms] == ["genesis", "genesis-2", "genesis-3"]


def test_a_checkpoint_file_names_its_arm(run: Path, tmp_path: Path) -> None:
    copied = tmp_path / "downloaded.safetensors"
    copied.write_bytes((run / "best.safetensors").read_bytes())
    assert name_arms([copied], scratch=False)[0].name == "downloaded"


def test_a_run_called_like_an_arm_of_ours_is_numbered(tmp_path: Path) -> None:
    arms = name_arms([write_run(tmp_path / "random")], scratch=True)
    assert [arm.name for arm in arms] == ["scratch", "random-2"]


def test_training_longer_sees_what_pretraining_saw(plan_of: MakePlan) -> None:
    *_, long = plan_of(long=True, recipe=FinetuneRecipe(batch_size=2, accumulate=2)).arms
    assert (long.name, long.extra_steps) == ("scratch-long", 123 * 6 // 4)
    with pytest.raises(SelfscanError, match="leave out --long"):
        plan_of(
            long=True, checkpoints=[], backbone=NETWORK, recipe=FinetuneRecipe(crop_size=(16,) * 3)
        )


def test_subsets_from_a_file(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "splits.json"
    few = {"1": ["scan-3"], "2": ["scan-3", "scan-0"], "3": ["scan-3", "scan-0", "scan-8"]}
    file.write_text(json.dumps({"train": [], "train_few": few}))
    scans = Store(store)
    chosen = choose_subsets(scans, [2, 1], task=SegmentationTask(), train_split="train", file=file)
    assert chosen == {1: ("scan-3",), 2: ("scan-3", "scan-0")}
    with pytest.raises(SelfscanError, match="expected 5 too"):
        choose_subsets(scans, [5], task=SegmentationTask(), train_split="train", file=file)
    with pytest.raises(SelfscanError, match="found 2 labelled cases of the split 'train' under 3"):
        choose_subsets(scans, [3], task=SegmentationTask(), train_split="train", file=file)


def test_a_comparison_may_grow(plan_of: MakePlan, tmp_path: Path) -> None:
    settle(plan_of(), tmp_path)
    settle(plan_of(labels=[1, 2, 4], seeds=[0, 1, 2], learning_rates=[1e-3]), tmp_path)
    assert json.loads((tmp_path / "plan.json").read_text())["seeds"] == [0, 1, 2]


def test_a_comparison_goes_on_where_the_recipe_gained_fields_that_change_nothing(
    plan_of: MakePlan, tmp_path: Path
) -> None:
    settle(plan_of(), tmp_path)
    file = tmp_path / "plan.json"
    earlier = json.loads(file.read_text())
    del earlier["recipe"]["loss"]
    del earlier["recipe"]["optimizer"]["momentum"]
    file.write_text(json.dumps(earlier))
    with pytest.raises(SelfscanError, match=r"recipe.loss \(sigmoid where it was None\)"):
        settle(plan_of(recipe=FinetuneRecipe(loss="sigmoid")), tmp_path)
    settle(plan_of(), tmp_path)
    assert json.loads(file.read_text())["recipe"]["loss"] == "softmax"


def test_a_comparison_of_another_kind_is_refused(
    plan_of: MakePlan, run: Path, tmp_path: Path
) -> None:
    settle(plan_of(), tmp_path)
    with pytest.raises(SelfscanError, match=r"another recipe.steps \(7 where it was 1000\)"):
        settle(plan_of(recipe=FinetuneRecipe(steps=7)), tmp_path)
    plan = plan_of()
    with pytest.raises(SelfscanError, match="another subset of 2 cases"):
        settle(replace(plan, subsets={**plan.subsets, 2: ("scan-0", "scan-1")}), tmp_path)
    scratch, genesis = plan.arms
    with pytest.raises(SelfscanError, match="another checkpoint of genesis"):
        settle(replace(plan, arms=(scratch, replace(genesis, digest="other"))), tmp_path)


def test_learning_rates_are_chosen_unless_somebody_chose(plan_of: MakePlan) -> None:
    assert plan_of(learning_rates=None).learning_rates == (3e-4, 1e-3, 3e-3)
    assert plan_of(learning_rates=[]).learning_rates == ()
    own = FinetuneRecipe(optimizer=replace(FinetuneRecipe().optimizer, learning_rate=2e-3))
    assert plan_of(learning_rates=None, recipe=own).learning_rates == ()
    unseen = ("train", "nothing", "test")
    assert plan_of(learning_rates=None, splits=unseen).learning_rates == ()
    assert plan_of(learning_rates=None, protocols=["linear"]).learning_rates == ()
