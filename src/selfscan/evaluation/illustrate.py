"""What a comparison shows beside its scores: cases segmented once more, and what features see."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pandas as pd

from selfscan.evaluation.embedding_colors import color_scans, different_patients
from selfscan.evaluation.embedding_picture import EMBEDDINGS, save_colored
from selfscan.evaluation.floors import intensity_patches
from selfscan.evaluation.frozen_arms import frozen_arm
from selfscan.evaluation.measures import case_scores
from selfscan.evaluation.organ_search import ORGANS, PATCHES, OrganSearch
from selfscan.evaluation.pictures import FOLDER, Overlay
from selfscan.evaluation.plan import Arm, Plan
from selfscan.evaluation.scoring import predictions
from selfscan.evaluation.slices import gray_values
from selfscan.evaluation.statistics import RANDOM
from selfscan.files import written_atomically
from selfscan.scans.store import Store
from selfscan.training.engine import EngineConfig
from selfscan.training.frozen import freeze
from selfscan.training.start import starting_point


def choose_cases(cases: pd.DataFrame, plan: Plan) -> dict[str, str]:
    """Best, median and worst case of the pictured arm, as far as there are so many, by role.

    The scores are those of the first seed at the largest number of labels.
    """
    scores = case_scores(cases)
    shown = scores[
        (scores["arm"] == plan.pictured.name)
        & (scores["labels"] == max(plan.subsets))
        & (scores["seed"] == plan.seeds[0])
    ].sort_values("score", ascending=False)
    order = list(shown["case"])
    places = {"best": 0, "median": (len(order) - 1) // 2, "worst": len(order) - 1}
    # Where two roles fall on one case, the first keeps it.
    case_of = {order[place]: role for role, place in reversed(places.items())}
    return {role: case for case, role in reversed(case_of.items())}


def save_pictures(
    cases: pd.DataFrame, plan: Plan, chosen: Mapping[str, float], out: Path, engine: EngineConfig
) -> None:
    """Write an `Overlay` for each case to show, with the pictured arm and from scratch beside it.

    Scans whose header says that text stands in the pixels are not shown.

    Args:
        cases: Scores by case and class.
        plan: The comparison.
        chosen: The learning rate of each arm; empty where none was chosen.
        out: The comparison's folder.
        engine: Where to compute.
    """
    roles = choose_cases(cases[cases["case"].isin(_may_be_shown(plan))], plan)
    if not roles:
        return
    scans = Store(plan.store).select(ids=list(roles.values()))
    labels, seed = max(plan.subsets), plan.seeds[0]
    arms = dict.fromkeys((plan.pictured, *plan.arms[:1]))
    found: dict[str, dict[str, npt.NDArray[Any]]] = {id: {} for id in scans.ids}
    for arm in arms:
        folder = out / plan.cell(arm, labels, seed, chosen.get(arm.name)).folder
        for id, prediction in predictions(folder, scans, plan, engine):
            found[id][arm.name] = prediction
    scores = case_scores(cases).set_index(["arm", "labels", "seed", "case"])["score"]
    for role, id in roles.items():
        i = scans.find(id)
        overlay = Overlay.cut(
            gray_values(scans.read(i)[0], hounsfield=scans[i].hounsfield[0]),
            scans.read_labels(i),
            found[id],
            case=id,
            role=role,
            spacing=scans[i].spacing,
            dice={arm.name: float(scores[arm.name, labels, seed, id]) for arm in arms},
        )
        overlay.save(out / FOLDER / f"{role}.npz")


def save_embeddings(plan: Plan, out: Path, engine: EngineConfig, *, patients: int = 3) -> None:
    """Write what each checkpoint's embeddings look like before fine-tuning, as `embeddings.npz`.

    Args:
        plan: The comparison.
        out: The comparison's folder; the files lie under `arms`, and one that is there is kept.
        engine: Where to compute.
        patients: How many of the test cases are shown, at most.
    """
    store, shown = Store(plan.store), _may_be_shown(plan)
    if not shown:
        return
    scans = different_patients(store.select(ids=shown), patients)
    for arm in plan.arms:
        file = out / "arms" / arm.name / EMBEDDINGS
        if arm.checkpoint is None or file.exists():
            continue
        start = starting_point(
            store, checkpoint=arm.checkpoint, backbone=None, crop_size=None, window_hu=None
        )
        overlap = plan.recipe.overlap
        frozen, _ = freeze(start, seed=plan.seeds[0], overlap=overlap, fabric=engine.fabric())
        save_colored(color_scans(frozen, scans), file)


def save_organ_errors(plan: Plan, out: Path, engine: EngineConfig, *, patients: int = 6) -> None:
    """Search organs of some test patients in the others, by the features of each checkpoint.

    Floors are the same network with random weights, patches of intensities, and the same place
    relative to the body. `organs.parquet` lies by each checkpoint's pictures, that of the floors
    above them; one that is there is kept.

    Args:
        plan: The comparison.
        out: The comparison's folder.
        engine: Where to compute.
        patients: How many of the test cases take part, at most.
    """
    store = Store(plan.store)
    search = OrganSearch.among(different_patients(store.select(ids=plan.test), patients))
    frozen = partial(
        frozen_arm,
        plan=plan,
        seed=plan.seeds[0],
        overlap=plan.recipe.overlap,
        fabric=engine.fabric(),
    )
    floors = out / "arms" / ORGANS
    if not floors.exists():
        random, _ = frozen(Arm(RANDOM), part=plan.part)
        patches = partial(intensity_patches, window_hu=plan.window_hu)
        by_features = search.by(RANDOM, random.window_features)
        _write_errors(floors, by_features, search.by(PATCHES, patches), search.by_place())
    for arm in plan.arms:
        file = out / "arms" / arm.name / ORGANS
        if arm.checkpoint and not file.exists():
            trained, _ = frozen(arm, part=None)
            _write_errors(file, search.by(arm.name, trained.window_features))


def _may_be_shown(plan: Plan) -> list[str]:
    """The test cases but those whose header says that text stands in the pixels."""
    test = Store(plan.store).select(ids=plan.test)
    return [record.id for record in test if not record.burned_in]


def _write_errors(file: Path, *errors: pd.DataFrame) -> None:
    with written_atomically(file) as temporary:
        pd.concat(errors, ignore_index=True).to_parquet(temporary, index=False)
