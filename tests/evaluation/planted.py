"""A finished comparison made of planted numbers, as `compare` leaves its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from selfscan.evaluation.embedding_picture import ColoredScan, save_colored
from selfscan.evaluation.guards import Findings
from selfscan.evaluation.pictures import Overlay
from selfscan.evaluation.slices import slices_through

ARMS = ("scratch", "models-genesis")
CLASSES = ("anterior", "posterior")


def planted_scores(
    *,
    lift: float,
    arms: tuple[str, ...] = ARMS,
    labels: tuple[int, ...] = (4, 8, 12),
    seeds: tuple[int, ...] = (0, 1, 2),
    cases: int = 25,
    run_spread: float = 0.006,
    seed: int = 0,
    protocol: str = "finetune",
) -> pd.DataFrame:
    """Scores where every arm but the first is better by `lift`, as `cases.parquet` holds them."""
    random = np.random.default_rng(seed)
    difficulty = random.normal(0, 0.05, cases)
    rows: list[dict[str, Any]] = []
    for arm in arms:
        for count in labels:
            for run in seeds:
                level = 0.7 + 0.04 * np.log2(count / 4) + random.normal(0, run_spread)
                level += lift if arm != arms[0] else 0.0
                for case in range(cases):
                    for label, name in enumerate(CLASSES, start=1):
                        noise = random.normal(0, 0.02)
                        dice = float(np.clip(level + difficulty[case] - 0.03 * label + noise, 0, 1))
                        rows.append(
                            {
                                "protocol": protocol, "arm": arm, "labels": count, "seed": run,
                                "case": f"case_{case:03d}", "label": label, "class": name,
                                "dice": dice, "nsd": min(dice + 0.1, 1.0), "hd95": 8 * (1 - dice),
                                "empty": "neither", "subject": f"patient {case}",
                            }
                        )  # fmt: skip
    return pd.DataFrame(rows)


def write_finished(folder: Path, cases: pd.DataFrame) -> Path:
    """Write everything that the report reads."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    tuned = cases[cases["protocol"] == "finetune"]
    arms = list(tuned["arm"].unique())
    labels = [int(count) for count in sorted(cases["labels"].unique())]
    seeds = [int(seed) for seed in cases["seed"].unique()]
    cells = []
    for arm in arms:
        for count in labels:
            for seed in seeds:
                cell = Path("cells") / arm / f"labels-{count}" / f"seed-{seed}"
                (folder / cell).mkdir(parents=True)
                _fine_tuning_metrics(random).to_csv(folder / cell / "metrics.csv", index=False)
                (folder / cell / "load_report.json").write_text(
                    json.dumps(_load_report() if not arm.startswith("scratch") else None)
                )
                facts = {"arm": arm, "labels": count, "seed": seed, "folder": str(cell)}
                cells.append(facts | {"protocol": "finetune"})
    for arm in arms:
        if not arm.startswith("scratch"):
            _pre_training(folder / "arms" / arm, random)
    ids = sorted(cases["case"].unique())
    (folder / "plan.json").write_text(json.dumps(_plan(arms, labels, seeds, ids)))
    (folder / "outcome.json").write_text(json.dumps(_outcome(arms, cells)))
    Findings((), (), ()).write(folder)
    cases.to_parquet(folder / "cases.parquet")
    for role, shift in (("best", 0), ("median", 1), ("worst", 4)):
        _overlay(role, shift, arms).save(folder / "pictures" / f"{role}.npz")
    return folder


def _fine_tuning_metrics(random: np.random.Generator) -> pd.DataFrame:
    steps = np.arange(5, 305, 5)
    loss = 0.4 + 1.4 * np.exp(-steps / 60) + random.normal(0, 0.05, len(steps))
    checks = np.arange(50, 301, 50)
    dice = 0.78 * (1 - np.exp(-checks / 80)) + random.normal(0, 0.01, len(checks))
    return pd.DataFrame(
        {
            "step": [*steps, *checks],
            "name": ["train/loss"] * len(steps) + ["validation/dice"] * len(checks),
            "value": [*loss, *dice],
        }
    )


def _pre_training(folder: Path, random: np.random.Generator) -> None:
    folder.mkdir(parents=True)
    steps = np.arange(10, 1001, 10)
    loss = 0.01 + 0.06 * np.exp(-steps / 200) + random.normal(0, 0.002, len(steps))
    held = np.arange(100, 1001, 100)
    pd.DataFrame(
        {
            "step": [*steps, *held],
            "name": ["train/loss"] * len(steps) + ["validation/loss"] * len(held),
            "value": [*loss, *(0.012 + 0.05 * np.exp(-held / 200))],
        }
    ).to_csv(folder / "metrics.csv", index=False)
    target = np.clip(_blob((48, 48, 32), 14.0)[None, None], 0, 1).repeat(2, axis=0)
    noisy = np.clip(target + random.normal(0, 0.2, target.shape), 0, 1)
    views = {"input": noisy, "output": 0.9 * target, "target": target}
    halves = {name: view.astype(np.float16) for name, view in views.items()}
    np.savez_compressed(folder / "examples.npz", **halves)
    save_colored(planted_colors(), folder / "embeddings.npz")


def planted_colors() -> list[ColoredScan]:
    """Two patients of different size, colored by the distance from the middle."""
    scans = []
    for number, shape in enumerate(((40, 30, 20), (30, 36, 24))):
        image = _blob(shape, 12.0).astype(np.float32)
        color = np.stack([image, 1 - image, np.full_like(image, 0.2)], axis=-1)
        middle = [length // 2 for length in shape]
        images, colors = slices_through(image, middle), slices_through(color, middle)
        scans.append(ColoredScan(f"patient_{number}", (2.0, 2.0, 3.0), images, colors))
    return scans


def _blob(shape: tuple[int, int, int], radius: float, shift: float = 0.0) -> np.ndarray:
    x, y, z = np.meshgrid(*(np.arange(n) - n / 2 for n in shape), indexing="ij")
    return np.exp(-(((x - shift) / radius) ** 2 + (y / (1.5 * radius)) ** 2 + (z / radius) ** 2))


def _overlay(role: str, shift: int, arms: list[str]) -> Overlay:
    image = _blob((40, 56, 40), 12.0).astype(np.float32)
    front = np.arange(56)[None, :, None] > 28

    def labels(by: float) -> np.ndarray:
        inside = _blob((40, 56, 40), 10.0, by) > 0.5
        return (inside * np.where(front, 1, 2)).astype(np.uint8)

    return Overlay.cut(
        image,
        labels(0),
        {arm: labels(shift + i) for i, arm in enumerate(reversed(arms))},
        case=f"case_{shift:03d}",
        role=role,
        spacing=(1.0, 1.0, 1.2),
        dice={arm: 0.85 - 0.05 * shift - 0.03 * i for i, arm in enumerate(reversed(arms))},
    )


def _load_report() -> dict[str, Any]:
    return {
        "part": "backbone", "loaded": [f"backbone.layer{i}.weight" for i in range(64)],
        "adapted": {}, "skipped": {"head.weight": "not part of the backbone"}, "missing": [],
        "filled": 1000, "parameters": 1000, "share": 1.0,
    }  # fmt: skip


def _plan(arms: list[str], labels: list[int], seeds: list[int], test: list[str]) -> dict[str, Any]:
    return {
        "store": "/somewhere/hippocampus", "store_digest": "0123456789abcdef" * 4,
        "arms": [{"name": arm, "checkpoint": None, "digest": ""} for arm in arms],
        "backbone": {
            "class_path": "selfscan.networks.unet3d.UNet3DConfig",
            "init_args": {"width": 16, "norm": "instance", "gradient_checkpointing": False},
        },
        "window_hu": [-1000, 1000],
        "subsets": {str(n): [f"train_{i:03d}" for i in range(n)] for n in labels},
        "seeds": seeds,
        "recipe": {
            "steps": 300, "batch_size": 2, "accumulate": 1, "crop_size": [40, 56, 40],
            "validate_every": 50,
            "optimizer": {"algorithm": "adamw", "schedule": "cosine", "warmup_steps": 50},
        },
        "learning_rates": [3e-4, 1e-3, 3e-3], "train_split": "train",
        "validation_split": "validation", "test": test, "tolerance_mm": 2.0,
        "protocols": ["finetune", "linear"], "part": "backbone",
        "probe": {"voxels_per_class": 1000, "background_voxels": 10_000},
    }  # fmt: skip


def _outcome(arms: list[str], cells: list[dict[str, Any]]) -> dict[str, Any]:
    described: list[dict[str, Any]] = []
    for arm in arms:
        facts: dict[str, Any] = {"name": arm, "learning_rate": 1e-3, "checkpoint": None}
        facts["extra_steps"] = 0
        if not arm.startswith("scratch"):
            facts |= {
                "checkpoint": "/somewhere/run/best.safetensors", "method": "models-genesis",
                "source": "Zhou et al., MICCAI 2019", "steps": 1000, "scans": 160,
                "license_note": "Patented by its authors' university; <ask> before commercial use.",
                "version": "0.1.0",
            }  # fmt: skip
        described.append(facts)
    rates = (3e-4, 1e-3, 3e-3)
    return {
        "arms": described, "cells": cells,
        "trials": [
            {"arm": arm, "learning_rate": rate, "dice": 0.7 - abs(rate - 1e-3) * 10}
            for arm in arms for rate in rates
        ],
        "label_names": {"0": "background", "1": "anterior", "2": "posterior"},
        "contract": {"spacing": [1.0, 1.0, 1.2], "percentiles": [0.5, 99.5], "orientation": "RAS",
                     "version": 1},
        "spacing": [1.0, 1.0, 1.2], "seconds": 5400, "date": "2026-01-02T03:04+00:00",
        "command": "selfscan compare store comparison --labels 4 8 12",
        "versions": {"python": "3.11", "selfscan": "0.1.0", "torch": "2.13.0"},
    }  # fmt: skip
