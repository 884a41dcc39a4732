"""Probabilities of classes with a planted quality, as a comparison of classifiers leaves them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from planted import write_finished

NAMES = ("ill", "well")


def planted_probabilities(
    *,
    lift: float,
    arms: tuple[str, ...] = ("scratch", "models-genesis"),
    labels: tuple[int, ...] = (4, 8, 12),
    seeds: tuple[int, ...] = (0, 1, 2),
    cases: int = 60,
    names: tuple[str, ...] = NAMES,
    seed: int = 0,
    protocol: str = "finetune",
) -> pd.DataFrame:
    """Rows where every arm but the first separates classes better by `lift` deviations.

    More labels separate better too. The cases differ in how hard they are, alike for all arms.
    """
    random = np.random.default_rng(seed)
    truth = np.arange(cases) % len(names)
    hard = random.normal(0, 1, (cases, len(names)))
    rows: list[dict[str, Any]] = []
    for arm in arms:
        for count in labels:
            for run in seeds:
                height = 0.8 + 0.25 * np.log2(count / labels[0]) + lift * (arm != arms[0])
                noise = random.normal(0, 0.5, (cases, len(names)))
                logits = height * np.eye(len(names))[truth] + hard + noise
                chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
                for case in range(cases):
                    row = {
                        "protocol": protocol, "arm": arm, "labels": count, "seed": run,
                        "case": f"case_{case:03d}", "subject": f"patient {case}",
                        "class": names[truth[case]],
                    }  # fmt: skip
                    given = {f"p({n})": float(chances[case, k]) for k, n in enumerate(names)}
                    rows.append(row | given)
    return pd.DataFrame(rows)


def write_classified(folder: Path, cases: pd.DataFrame) -> Path:
    """Write everything that the report of a comparison of classifiers reads."""
    write_finished(folder, cases)
    shutil.rmtree(folder / "pictures")
    names = [name[2:-1] for name in cases.columns if name.startswith("p(")]
    plan = json.loads((folder / "plan.json").read_text())
    plan |= {"classes": "/somewhere/diagnoses.csv", "classes_digest": "fedcba9876543210" * 4}
    plan |= {"classifying": {"voxels": 2000, "penalty": 50.0, "neighbors": 5}}
    plan["recipe"] |= {"crops_per_scan": 2}
    (folder / "plan.json").write_text(json.dumps(plan))
    outcome = json.loads((folder / "outcome.json").read_text())
    outcome["label_names"] = {str(number): name for number, name in enumerate(names)}
    outcome["trials"] = [
        {"auroc" if key == "dice" else key: value for key, value in trial.items()}
        for trial in outcome["trials"]
    ]
    (folder / "outcome.json").write_text(json.dumps(outcome))
    for file in folder.glob("cells/**/metrics.csv"):
        file.write_text(file.read_text().replace("validation/dice", "validation/auroc"))
    return folder
