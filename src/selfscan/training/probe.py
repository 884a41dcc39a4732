"""What frozen features know already: a small head, fitted to voxels of few labelled scans.

Nothing of the backbone is trained, so the score speaks of its features alone. Probe a randomly
initialized network too: that is the floor.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from selfscan.checkpoints.loading import load_weights
from selfscan.files import written_atomically
from selfscan.metrics import case_metrics
from selfscan.networks.backbone import BackboneConfig, Pyramid
from selfscan.progress import Progress
from selfscan.scans.store import Store
from selfscan.training.engine import EngineConfig
from selfscan.training.frozen import FrozenBackbone
from selfscan.training.prior import choose_exponent, prior_correction
from selfscan.training.run_folder import open_run_folder
from selfscan.training.scores import print_scores, save_scores, score_rows
from selfscan.training.seeds import derive_seed
from selfscan.training.segmentation import Size, inference_fabric
from selfscan.training.start import (
    labelled_cases,
    labelled_split,
    starting_point,
    tell_load_report,
)
from selfscan.training.voxel_head import VoxelHead, fit_linear, fit_nonlinear
from selfscan.training.voxel_sample import VoxelSample, draw_sample

Head = Literal["linear", "nonlinear"]


@dataclass(frozen=True)
class ProbeRecipe:
    """How the head is fitted.

    Attributes:
        crop_size: Windows that the backbone sees, in voxels; None takes the checkpoint's.
        window_hu: The window of CT; None takes the checkpoint's, or (-1000, 1000) without one.
        voxels_per_class: Voxels of each class drawn from each labelled case.
        overlap: Share of a window that its neighbor covers too.
        penalty: Of the linear head's squared coefficients, against the summed loss.
        iterations: Most iterations of L-BFGS for the linear head.
        steps: Optimizer steps of the non-linear head.
        batch_size: Voxels a step of the non-linear head.
        learning_rate: Peak learning rate of the non-linear head.
        weight_decay: Decoupled weight decay of the non-linear head.
        tolerance_mm: Distance up to which surfaces count as equal, for NSD.
    """

    crop_size: Size | None = None
    window_hu: tuple[float, float] | None = None
    voxels_per_class: int = 1000
    overlap: float = 0.5
    penalty: float = 1.0
    iterations: int = 1000
    steps: int = 500
    batch_size: int = 1024
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    tolerance_mm: float = 2.0

    def __post_init__(self) -> None:
        """Refuse values without a meaning."""
        for name in ("voxels_per_class", "iterations", "steps", "batch_size"):
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


_RECIPE, _ENGINE = ProbeRecipe(), EngineConfig()


def probe(
    store: Path | str,
    out: Path | str,
    *,
    checkpoint: Path | None = None,
    backbone: BackboneConfig | None = None,
    head: Head = "linear",
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

    The head learns from equally many voxels of each class, which makes small classes look large.
    The prior is put back by adding e * (log prior - log share in the sample) to the logits. The
    exponent e, between 0 (none) and 1 (all), is what gives the best mean Dice on the validation
    cases, or on the labelled cases where there are none; `probe.json` says which.

    Args:
        store: A prepared store with labels.
        out: The folder for `cases.parquet`, `cases.csv`, `summary.csv`, `probe.json`.
        checkpoint: A run folder or checkpoint file; None probes random weights.
        backbone: The network, where there is no checkpoint.
        head: `linear` is solved exactly; `nonlinear` is vox2vec's decoder of 1x1x1
            convolutions and is trained.
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
    )
    network = start.build(seed=seed).eval()
    train = labelled_cases(scans, train_split, cases)
    validation = labelled_split(scans, validation_split)
    test = scans.select(splits=[test_split], labelled=True)
    report = start.checkpoint and load_weights(
        network, start.checkpoint.weights, rename={"backbone.": ""}
    )

    fabric = inference_fabric(engine)
    open_run_folder(out, arguments, fabric=fabric, resume=resume, overwrite=overwrite)
    if (out / "cases.parquet").exists():
        return pd.read_parquet(out / "cases.parquet")
    tell_load_report(report or None, out)
    frozen = FrozenBackbone(
        network.to(fabric.device), start.window_hu, start.crop_size, recipe.overlap, fabric
    )
    sample = draw_sample(
        frozen, train, per_class=recipe.voxels_per_class, seed=derive_seed(seed, "voxels")
    )
    fitted = _fit(head, sample, network.dense_pyramid, recipe, derive_seed(seed, "head")).to(
        fabric.device
    )
    correction = prior_correction(sample.prior, sample.share)
    judged = validation or train
    exponent, dice = choose_exponent(partial(frozen.logits, fitted, judged), correction, judged)
    scored = _scored(frozen, fitted, exponent * correction, test, recipe.tolerance_mm)

    found = {
        "head": head,
        "cases": list(train.ids),
        "voxels": len(sample.classes),
        "features": sample.features.shape[1],
        "exponent": exponent,
        "exponent_chosen_on": "validation" if validation else "train",
        "dice_there": dice,
    }
    with written_atomically(out / "probe.json") as temporary:
        temporary.write_text(json.dumps(found, indent=2) + "\n")
    save_scores(scored, out)
    title = f"{head} probe, {len(train)} labelled cases"
    print_scores(scored, title=title, tolerance_mm=recipe.tolerance_mm)
    return scored


def _fit(
    head: Head, sample: VoxelSample, pyramid: Pyramid, recipe: ProbeRecipe, seed: int
) -> VoxelHead:
    classes = len(sample.prior)
    if head == "linear":
        return fit_linear(
            sample.features,
            sample.classes,
            pyramid,
            count=classes,
            penalty=recipe.penalty,
            iterations=recipe.iterations,
        )
    return fit_nonlinear(
        sample.features,
        sample.classes,
        pyramid,
        count=classes,
        steps=recipe.steps,
        batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        seed=seed,
    )


def _scored(
    frozen: FrozenBackbone,
    head: VoxelHead,
    shift: npt.NDArray[np.float64],
    test: Store,
    tolerance_mm: float,
) -> pd.DataFrame:
    rows = []
    with Progress("probe", total=len(test), unit="test cases") as progress:
        for i, record in enumerate(test):
            logits = frozen.logits(head, test, i) + shift.astype(np.float32)[:, None, None, None]
            metrics = case_metrics(
                logits.argmax(0),
                test.read_labels(i),
                classes=test.label_names,
                spacing=record.spacing,
                tolerance_mm=tolerance_mm,
            )
            rows += score_rows(record.id, metrics)
            progress.advance()
    return pd.DataFrame(rows)
