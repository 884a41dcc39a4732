"""Embeddings of whole scans by frozen features, kept so that all heads of an arm share them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from selfscan.checkpoints.loading import LoadReport
from selfscan.evaluation.frozen_arms import frozen_arm
from selfscan.evaluation.plan import Cell, Plan
from selfscan.files import written_atomically
from selfscan.scans.store import Store
from selfscan.training.engine import EngineConfig
from selfscan.training.pooled import pooled_features


def scan_embeddings(
    cell: Cell, plan: Plan, out: Path, engine: EngineConfig
) -> tuple[dict[str, npt.NDArray[Any]], LoadReport | None]:
    """The embedding of each scan of a comparison by the cell's network, and what it loaded.

    They depend on the arm and the seed alone: `probes/embeddings` holds a file for each, which
    grows where a resumed comparison has more scans.

    Args:
        cell: Its arm and seed.
        plan: The comparison.
        out: Its folder.
        engine: Where to compute.

    Returns:
        Vectors (F,) by the ids of scans: the labelled ones of all subsets, and the test cases.
    """
    frozen, report = frozen_arm(
        cell.arm,
        plan,
        part=plan.part,
        seed=cell.seed,
        overlap=plan.classifying.overlap,
        fabric=engine.fabric(),
    )
    file = out / "probes" / "embeddings" / cell.arm.name / f"seed-{cell.seed}.npz"
    found: dict[str, npt.NDArray[Any]] = {}
    if file.exists():
        with np.load(file, allow_pickle=False) as arrays:
            found = dict(zip(arrays["ids"].tolist(), arrays["vectors"], strict=True))
    wanted = dict.fromkeys((*(id for ids in plan.subsets.values() for id in ids), *plan.test))
    if missing := [id for id in wanted if id not in found]:
        scans = Store(plan.store).select(ids=missing)
        vectors = pooled_features(
            frozen, scans, voxels=plan.classifying.voxels, seed=cell.seed
        ).numpy()
        found |= dict(zip(scans.ids, vectors, strict=True))
        with written_atomically(file) as temporary, temporary.open("wb") as stream:
            np.savez(stream, ids=np.array(list(found)), vectors=np.stack(list(found.values())))
    return found, report
