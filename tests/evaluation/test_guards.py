from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_store import NETWORK, write_run, write_small_store

from selfscan.errors import SelfscanError
from selfscan.evaluation.guards import (
    ArmLeak,
    Findings,
    guard,
    look_for_coarse_voxels,
    warnings,
)
from selfscan.evaluation.plan import Arm, Plan
from selfscan.scans.index import write_index
from selfscan.scans.seen import Seen
from selfscan.scans.store import Store
from selfscan.scans.volumes import write_volume
from selfscan.training.finetune import FinetuneRecipe

PlanOf = Callable[[Path], Plan]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_store(tmp_path_factory.mktemp("data") / "store", tissue=True)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "genesis")


@pytest.fixture
def plan(store: Path, run: Path) -> Plan:
    return Plan(
        store=store,
        store_digest="",
        arms=(Arm("scratch"), Arm("genesis", run / "best.safetensors")),
        backbone=NETWORK,
        window_hu=(-1000.0, 1000.0),
        subsets={2: ("scan-0", "scan-1")},
        seeds=(0,),
        recipe=FinetuneRecipe(),
        learning_rates=(),
        train_split="train",
        validation_split="validation",
        test=("scan-6", "scan-7", "scan-8", "scan-9"),
        tolerance_mm=2.0,
    )


def test_clean_scans_pass_in_silence(plan: Plan, run: Path) -> None:
    Seen.of(Store(plan.store).select(splits=["train", "validation"])).write(run)
    found = guard(plan, stores=[], allow_leaks=False)
    assert found == Findings((), (), ())
    assert warnings(found) == []


def test_a_planted_leaked_case_stops_the_comparison(plan: Plan, run: Path) -> None:
    Seen.of(Store(plan.store).select(ids=["scan-0", "scan-7"])).write(run)
    with pytest.raises(SelfscanError, match=r"genesis: scan-7 \(the same voxels\)"):
        guard(plan, stores=[], allow_leaks=False)


def test_where_leaks_are_allowed_the_arm_is_marked(plan: Plan, run: Path, tmp_path: Path) -> None:
    Seen.of(Store(plan.store).select(ids=["scan-0", "scan-7"])).write(run)
    found = guard(plan, stores=[], allow_leaks=True)
    assert found.tainted == ("genesis",)
    assert found.leaks == (ArmLeak("genesis", "scan-7", "the same voxels"),)
    assert "saw 1 of the test cases or their patients (scan-7)" in warnings(found)[0]
    found.write(tmp_path)
    assert Findings.read(tmp_path) == found


def test_a_near_duplicate_counts_as_the_case_it_repeats(
    plan: Plan, run: Path, tmp_path: Path
) -> None:
    shutil.copytree(plan.store, tmp_path / "store")
    rows = [
        replace(one, near_duplicate_of="scan-7" if one.id == "scan-0" else None)
        for one in Store(plan.store)
    ]
    # Of the patient of the copy pre-training saw another scan, but neither the case nor the copy.
    rows[1] = replace(rows[1], subject=rows[0].subject)
    write_index(tmp_path / "store", rows, [], {0: "background", 1: "ball"})
    plan = replace(plan, store=tmp_path / "store")
    Seen.of(Store(plan.store).select(ids=["scan-1", "scan-2"])).write(run)
    found = guard(plan, stores=[], allow_leaks=True)
    why = "another scan of the same patient, of its near-duplicate scan-0"
    assert found.leaks == (ArmLeak("genesis", "scan-7", why),)
    Seen.of(Store(plan.store).select(ids=["scan-2"])).write(run)
    assert guard(plan, stores=[], allow_leaks=False).leaks == ()


def test_a_checkpoint_of_unknown_scans_is_told(plan: Plan) -> None:
    found = guard(plan, stores=[], allow_leaks=False)
    assert found.unknown == ("genesis",)
    assert "What genesis learned from is not known" in warnings(found)[0]


def test_its_store_can_be_named(plan: Plan, tmp_path: Path) -> None:
    # The store itself keeps its test cases back from pre-training; another one that holds them
    # among its training scans does not.
    assert guard(plan, stores=[plan.store], allow_leaks=False).unknown == ()
    other = shutil.copytree(plan.store, tmp_path / "other")
    records = Store(other)
    write_index(other, [replace(r, split=None) for r in records], [], records.label_names)
    with pytest.raises(SelfscanError, match="scan-9"):
        guard(plan, stores=[other], allow_leaks=False)


def test_a_structure_one_voxel_thin_is_warned_about(store: Path, tmp_path: Path) -> None:
    assert look_for_coarse_voxels(Store(store)) == []
    thin = Store(shutil.copytree(store, tmp_path / "thin"))
    unknown = [replace(r, file_lengths=(), file_digests=()) for r in thin]
    write_index(thin.path, unknown, [], thin.label_names)
    thin = Store(thin.path)
    labels = np.zeros((16, 16, 16), np.uint8)
    labels[4:9, 4:9, 7] = 1
    for i in range(len(thin)):
        write_volume(thin.file("labels", i), labels)
    (sentence,) = look_for_coarse_voxels(Store(thin.path))
    assert sentence.startswith(
        "ball is 1 voxel long along Z in most labelled scans (voxels of 2 mm)"
    )
    for i in range(len(thin)):
        write_volume(thin.file("labels", i), np.zeros_like(labels))
    assert look_for_coarse_voxels(Store(thin.path)) == ["No labelled scan has a voxel of ball."]
