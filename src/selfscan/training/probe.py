"""What frozen features know already: a small head, fitted to voxels of few labelled scans.

Nothing of the backbone is trained, so the score speaks of its features alone. Probe a randomly
initialized network too: that is the floor.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import pandas as pd
from torch import Tensor

from selfscan.checkpoints.loading import tell_load_report
from selfscan.files import written_atomically
from selfscan.metrics import case_metrics
from selfscan.networks.backbone import BackboneConfig, Part, Pyramid
from selfscan.progress import Progress
from selfscan.scans.store import Store
from selfscan.training.engine import EngineConfig
from selfscan.training.fitted_probe import FittedProbe, fit_probe
from selfscan.training.frozen import freeze
from selfscan.training.intact import require_intact_on_each_node
from selfscan.training.run_folder import open_run_folder
from selfscan.training.scores import print_scores, save_scores, score_rows
from selfscan.training.seeds import derive_seed
from selfscan.training.segmentation import Size, inference_fabric
from selfscan.training.start import (
    labelled_cases,
    labelled_split,
    starting_point,
)
from selfscan.training.voxel_head import Classes, VoxelHead, fit_linear, fit_nonlinear
from selfscan.training.voxel_sample import draw_voxels

Head = Literal["linear", "nonlinear"]


@dataclass(frozen=True)
class ProbeRecipe:
    """How the head is fitted.

    Attributes:
        crop_size: Windows that the backbone sees, in voxels; None takes the checkpoint's.
        window_hu: The window of CT; None takes the checkpoint's, or (-1000, 1000) without one.
        voxels_per_class: Voxels of each structure drawn from each labelled case.
        background_voxels: Voxels of the background drawn from each labelled case; many, as it is
            the most varied class.
        overlap: Share of a window that its neighbor covers too.
        penalty: Of the linear head's squared coefficients, against the summed loss.
        iterations: Most iterations of L-BFGS for the linear head.
        steps: Optimizer steps of the non-linear head.
        batch_size: Voxels a step of the non-linear head; few, as the noise of their norms keeps it
            from learning its cases by heart.
        learning_rate: Peak learning rate of the non-linear head.
        weight_decay: Decoupled weight decay of the non-linear head.
        tolerance_mm: Distance up to which surfaces count as equal, for NSD.
    """

    crop_size: Size | None = None
    window_hu: tuple[float, float] | None = None
    voxels_per_class: int = 1000
    background_voxels: int = 10_000
    overlap: float = 0.5
    penalty: float = 30.0
    iterations: int = 1000
    steps: int = 500
    batch_size: int = 256
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    tolerance_mm: float = 2.0

    def __post_init__(self) -> None:
        """Refuse values without a meaning."""
        for name in (
            "voxels_per_class",
            "background_voxels",
            "iterations",
            "steps",
            "batch_size",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.weight_decay < 0:
            raise ValueError(f"weight_decay must not be negative, got {self.weight_decay}")
        for name in ("penalty", "learning_rate"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if not 0 <= self.overlap < 1:
            raise ValueError(f"overlap must lie in [0, 1), got {self.overlap}")
        if self.tolerance_mm < 0:
            raise ValueError(f"tolerance_mm must not be negative, got {self.tolerance_mm}")

    def fit(
        self, head: Head, pyramid: Pyramid, *, classes: int, seed: int
    ) -> Callable[[Tensor, Classes], VoxelHead]:
        """What makes a head of features (N, F) and classes (N,)."""
        if head == "linear":
            return partial(
                fit_linear,
                pyramid=pyramid,
                count=classes,
                penalty=self.penalty,
                iterations=self.iterations,
            )
        return partial(
            fit_nonlinear,
            pyramid=pyramid,
            count=classes,
            steps=self.steps,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            seed=seed,
        )


_RECIPE, _ENGINE = ProbeRecipe(), EngineConfig()


def probe(
    store: Path | str,
    out: Path | str,
    *,
    checkpoint: Path | None = None,
    backbone: BackboneConfig | None = None,
    head: Head = "linear",
    part: Part | None = None,
    cases: int | Sequence[str] | None = None,
    recipe: ProbeRecipe = _RECIPE,
    train_split: str = "train",
    validation_split: str | None = "validation",
    test_split: str = "test",
    engine: EngineConfig = _ENGINE,
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
) -> pd.DataFrame:
    """Fit a head on frozen voxel features of labelled cases, and score it on test cases.

    The head learns from as many voxels of each structure and not much more of the background, which
    makes small structures look large. How much of the class prior is put back (`exponent`, from 0
    to 1) is what gives the best mean Dice on the validation cases, or on the labelled cases where
    there are none; `probe.json` says which.

    Args:
        store: A prepared store with labels.
        out: The folder for `cases.parquet`, `cases.csv`, `summary.csv`, `probe.json`.
        checkpoint: A run folder or checkpoint file; None probes random weights.
        backbone: The network, where there is no checkpoint.
        head: `linear` is solved exactly; `nonlinear` is vox2vec's decoder of 1x1x1
            convolutions and is trained.
        part: What of the backbone gives the features: all of it, or the encoder alone; None takes
            what the checkpoint has, or all without one.
        cases: Labelled cases to learn from: all, the first so many in a fixed order, or these ids.
        recipe: How the head is fitted.
        train_split: The split of the labelled cases.
        validation_split: The split that chooses the exponent; None leaves it to the labelled cases.
        test_split: The split that is scored.
        engine: Where to compute; one process.
        seed: Of random weights, the voxels drawn, and what a trained head starts from.
        resume: Keep a finished result in `out`; an unfinished one is computed again.
        overwrite: Delete what `out` holds.

    Returns:
        One row a test case and class: `case`, `label`, `class`, `dice`, `nsd`, `hd95`, `empty`.

    Raises:
        SelfscanError: Too few labelled cases, no test case, or a folder in the way.
        ContractError: The store was prepared otherwise than what the checkpoint was trained on.
        ValueError: Arguments that contradict each other.
    """
    arguments = dict(locals())
    if head not in ("linear", "nonlinear"):
        raise ValueError(f"head must be linear or nonlinear, got {head!r}")
    out, scans = Path(out), Store(store)
    start = starting_point(
        scans,
        checkpoint=checkpoint,
        backbone=backbone,
        crop_size=recipe.crop_size,
        window_hu=recipe.window_hu,
        part=part,
    )
    fabric = inference_fabric(engine)
    frozen, report = freeze(start, seed=seed, overlap=recipe.overlap, fabric=fabric)
    train = labelled_cases(scans, train_split, cases)
    validation = labelled_split(scans, validation_split)
    test = scans.select(splits=[test_split], labelled=True)

    open_run_folder(out, arguments, fabric=fabric, resume=resume, overwrite=overwrite)
    if (out / "cases.parquet").exists():
        return pd.read_parquet(out / "cases.parquet")
    require_intact_on_each_node(engine, fabric, train, test, *([validation] if validation else []))
    tell_load_report(report, out)
    pyramid = frozen.pyramid
    draw = draw_voxels(
        train,
        per_class=recipe.voxels_per_class,
        background=recipe.background_voxels,
        seed=derive_seed(seed, "voxels"),
    )
    fit = recipe.fit(head, pyramid, classes=len(draw.prior), seed=derive_seed(seed, "head"))
    fitted = fit_probe(frozen, train, draw, fit, judged=validation or train)
    scored = _scored(fitted, test, recipe.tolerance_mm)

    found = {
        "head": head,
        "part": frozen.part,
        "cases": list(train.ids),
        "voxels": len(draw.classes),
        "features": sum(pyramid.channels),
        "exponent": fitted.exponent,
        "exponent_chosen_on": "validation" if validation else "train",
        "dice_there": fitted.dice,
    }
    with written_atomically(out / "probe.json") as temporary:
        temporary.write_text(json.dumps(found, indent=2) + "\n")
    save_scores(scored, out)
    title = f"{head} probe, {len(train)} labelled cases"
    print_scores(scored, title=title, tolerance_mm=recipe.tolerance_mm)
    return scored


def _scored(fitted: FittedProbe, test: Store, tolerance_mm: float) -> pd.DataFrame:
    rows = []
    with Progress("probe", total=len(test), unit="test cases") as progress:
        for i, record in enumerate(test):
            metrics = case_metrics(
                fitted.segment(test, i),
                test.read_labels(i),
                classes=test.label_names,
                spacing=record.spacing,
                tolerance_mm=tolerance_mm,
            )
            rows += score_rows(record.id, metrics)
            progress.advance()
    return pd.DataFrame(rows)
