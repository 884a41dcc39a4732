"""What a comparison left in its folder, gathered for the report."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from selfscan.evaluation.embedding_picture import EMBEDDINGS, ColoredScan, load_colored
from selfscan.evaluation.guards import Findings
from selfscan.evaluation.organ_search import ORGANS
from selfscan.evaluation.pictures import FOLDER, ROLES, Overlay


@dataclass(frozen=True)
class PreTraining:
    """What one pre-trained arm brought along.

    Attributes:
        arm: Its name.
        curves: Columns `step`, `name`, `value`; no rows where the run left no metrics.
        examples: Named volumes (B, C, X, Y, Z) that the method showed its network; maybe none.
        load: The load report of its first run.
        embeddings: What its embeddings look like in some patients, before fine-tuning; maybe none.
    """

    arm: str
    curves: pd.DataFrame
    examples: dict[str, npt.NDArray[Any]]
    load: dict[str, Any]
    embeddings: list[ColoredScan]

    @property
    def probed(self) -> bool:
        """Whether labelled scans were probed while it ran, and chose the best checkpoint."""
        return "validation/probe_dice" in set(self.curves["name"])


@dataclass(frozen=True)
class Evidence:
    """All that the report is made of.

    Attributes:
        plan: What `plan.json` holds: what was to be done.
        outcome: What `outcome.json` holds: how it went.
        cases: One row a protocol, arm, number of labels, seed, test case and class.
        curves: Of fine-tuning: `arm`, `labels`, `seed`, `step`, `name`, `value`.
        pretraining: One entry a pre-trained arm.
        overlays: Best, median and worst case, as far as there are so many.
        findings: What makes the comparison unfair or blind.
        organs: How far from their true place organs were found in other patients, a row a query and
            embedding, floors first; maybe none.
    """

    plan: dict[str, Any]
    outcome: dict[str, Any]
    cases: pd.DataFrame
    curves: pd.DataFrame
    pretraining: tuple[PreTraining, ...]
    overlays: tuple[Overlay, ...]
    findings: Findings
    organs: pd.DataFrame


LOAD = "load_report.json"
_NO_CURVES = pd.DataFrame({name: [] for name in ("arm", "labels", "seed", "step", "name", "value")})


def gather(folder: Path) -> Evidence:
    """Read the folder of a finished comparison."""
    outcome = json.loads((folder / "outcome.json").read_text())
    curves = [
        _metrics(folder / cell["folder"]).assign(
            arm=cell["arm"], labels=cell["labels"], seed=cell["seed"]
        )
        for cell in outcome["cells"]
        if cell["protocol"] == "finetune"
    ]
    pictures = [folder / FOLDER / f"{role}.npz" for role in ROLES]
    return Evidence(
        plan=json.loads((folder / "plan.json").read_text()),
        outcome=outcome,
        cases=pd.read_parquet(folder / "cases.parquet"),
        curves=pd.concat(curves) if curves else _NO_CURVES,
        pretraining=tuple(
            PreTraining(
                arm=arm["name"],
                curves=_metrics(folder / "arms" / arm["name"]),
                examples=_examples(folder / "arms" / arm["name"] / "examples.npz"),
                load=_load_report(folder, arm["name"], outcome),
                embeddings=_embeddings(folder / "arms" / arm["name"] / EMBEDDINGS),
            )
            for arm in outcome["arms"]
            if arm["checkpoint"]
        ),
        overlays=tuple(Overlay.load(path) for path in pictures if path.exists()),
        findings=Findings.read(folder),
        organs=_organs(folder, outcome),
    )


def _metrics(folder: Path) -> pd.DataFrame:
    file = folder / "metrics.csv"
    if not file.exists():
        return pd.DataFrame({"step": [], "name": [], "value": []})
    return pd.read_csv(file)


def _examples(file: Path) -> dict[str, npt.NDArray[Any]]:
    if not file.exists():
        return {}
    with np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files if arrays[name].ndim == 5}


def _embeddings(file: Path) -> list[ColoredScan]:
    return load_colored(file) if file.exists() else []


def _organs(folder: Path, outcome: dict[str, Any]) -> pd.DataFrame:
    names = [arm["name"] for arm in outcome["arms"] if arm["checkpoint"]]
    files = [folder / "arms" / name / ORGANS for name in ("", *names)]
    tables = [pd.read_parquet(file) for file in files if file.exists()]
    found = [table for table in tables if len(table)]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def _load_report(folder: Path, arm: str, outcome: dict[str, Any]) -> dict[str, Any]:
    cell = next(cell for cell in outcome["cells"] if cell["arm"] == arm)
    run = folder / cell["folder"]
    file = run / LOAD if cell["protocol"] == "finetune" else run / "probe" / LOAD
    found: dict[str, Any] = json.loads(file.read_text())
    return found
