"""Pictures of a comparison: the best, the median and the worst case, segmented once more."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from selfscan.evaluation.cells import predictions
from selfscan.evaluation.pictures import FOLDER, Overlay
from selfscan.evaluation.plan import Plan
from selfscan.evaluation.statistics import case_scores
from selfscan.scans.contract import UNIT
from selfscan.scans.store import Store
from selfscan.training.engine import EngineConfig

SOFT_TISSUE_HU = (-200.0, 300.0)


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

    Args:
        cases: Scores by case and class.
        plan: The comparison.
        chosen: The learning rate of each arm; empty where none was chosen.
        out: The comparison's folder.
        engine: Where to compute.
    """
    roles = choose_cases(cases, plan)
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
            display(scans.read(i)[0], hounsfield=scans[i].hounsfield[0]),
            scans.read_labels(i),
            found[id],
            case=id,
            role=role,
            spacing=scans[i].spacing,
            dice={arm.name: float(scores[arm.name, labels, seed, id]) for arm in arms},
        )
        overlay.save(out / FOLDER / f"{role}.npz")


def display(channel: npt.NDArray[np.int16], *, hounsfield: bool) -> npt.NDArray[np.float32]:
    """Gray values in [0, 1] of a stored channel: CT in a soft-tissue window."""
    low, high = SOFT_TISSUE_HU if hounsfield else (0.0, float(UNIT))
    gray: npt.NDArray[np.float32] = np.clip((channel - low) / (high - low), 0, 1).astype(np.float32)
    return gray
