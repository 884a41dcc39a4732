"""The verb `suggest`: which unlabeled scans to label next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.table import Table

from selfscan.errors import SelfscanError
from selfscan.evaluation.coverage import choose, standardized
from selfscan.evaluation.disagreement import disagreement_of_scan
from selfscan.files import written_atomically
from selfscan.progress import Progress, console
from selfscan.scans.store import Store
from selfscan.training.engine import EngineConfig
from selfscan.training.frozen import freeze
from selfscan.training.held_out import pretraining_scans
from selfscan.training.intact import require_intact_on_each_node
from selfscan.training.pooled import pooled_features
from selfscan.training.segmentation import inference_fabric, load_segmenter
from selfscan.training.start import require_fit, starting_point

_ENGINE = EngineConfig()


def suggest(
    store: Path | str,
    *,
    checkpoint: Path,
    n: int = 10,
    model: Path | None = None,
    pool: int = 3,
    out: Path | None = None,
    engine: EngineConfig = _ENGINE,
    seed: int = 0,
) -> pd.DataFrame:
    """Choose the unlabeled scans whose labels would help most.

    Each scan is embedded by the mean features of its body. Scans are chosen one by one so that
    every scan, labelled or not, lies near to a labelled or chosen one. With a fine-tuned model they
    are chosen among the scans on which it contradicts itself most under changed intensities, as in
    Yang et al., "Suggestive annotation", MICCAI 2017.

    Scans of patients in the splits `validation` and `test` play no part, and no patient is
    suggested twice or has labels already.

    Args:
        store: A prepared store.
        checkpoint: A pre-training run or checkpoint file, whose features are taken.
        n: How many scans to suggest.
        model: A fine-tuned model; by default embeddings alone decide.
        pool: With a model, `pool` times `n` scans of the largest disagreement are chosen from.
        out: A CSV file to write the suggestions to.
        engine: Where to compute; one process.
        seed: Of the voxels drawn and the changed views.

    Returns:
        One row a suggestion, best first: `id`, `gain` (by which share it brings all scans nearer
        to a labelled or chosen one), `disagreement` (1 - mean Dice between changed views; NaN
        without a model).

    Raises:
        SelfscanError: No unlabeled scan is left, or the model is none.
        ContractError: The store was prepared otherwise than what a checkpoint was trained on.
        ValueError: An argument out of range.
    """
    for name, value in (("n", n), ("pool", pool)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    scans = pretraining_scans(Store(store), None)
    labelled = [i for i, record in enumerate(scans) if record.labelled]
    taken = {scans.subjects[i] for i in labelled}
    candidates = [i for i, subject in enumerate(scans.subjects) if subject not in taken]
    if not candidates:
        raise SelfscanError(
            f"{store}: found no unlabeled scan of a patient without labels outside of validation "
            "and test; expected some to choose from; add unlabeled scans to the store"
        )
    start = starting_point(
        scans, checkpoint=Path(checkpoint), backbone=None, crop_size=None, window_hu=None
    )
    fabric = inference_fabric(engine)
    require_intact_on_each_node(engine, fabric, scans)
    frozen, _ = freeze(start, seed=seed, overlap=0.5, fabric=fabric)
    features = standardized(pooled_features(frozen, scans, seed=seed).numpy())
    disagreements = _disagreements(scans, candidates, model, engine, seed) if model else {}
    if disagreements:
        order = sorted(candidates, key=lambda i: -disagreements[i])
        candidates = order[: pool * n]
    chosen = choose(
        features, n, candidates=candidates, already=labelled, groups=scans.subjects, seed=seed
    )
    found = pd.DataFrame(
        [
            {"id": scans.ids[i], "gain": gain, "disagreement": disagreements.get(i, np.nan)}
            for i, gain in chosen
        ]
    )
    if out is not None:
        with written_atomically(Path(out)) as temporary:
            found.to_csv(temporary, index=False)
    _print(found, labelled=len(labelled), all=len(scans))
    return found


def _disagreements(
    scans: Store, candidates: list[int], model: Path, engine: EngineConfig, seed: int
) -> dict[int, float]:
    segmenter, checkpoint = load_segmenter(model)
    require_fit(checkpoint, scans, path=model)
    device = engine.fabric().device
    segmenter.to(device)
    found: dict[int, float] = {}
    with Progress("disagreement", total=len(candidates), unit="scans") as progress:
        for i in candidates:
            found[i] = disagreement_of_scan(
                segmenter, scans, i, crop_size=checkpoint.crop_size, device=device, seed=seed
            )
            progress.advance()
    return found


def _print(found: pd.DataFrame, *, labelled: int, all: int) -> None:
    table = Table(
        title=f"Label next ({labelled} of {all} scans have labels)",
        title_justify="left",
        box=SIMPLE_HEAD,
    )
    with_model = bool(found["disagreement"].notna().any())
    for heading in ("", "scan", "gain", *(("disagreement",) if with_model else ())):
        table.add_column(heading, justify="left" if heading == "scan" else "right", overflow="fold")
    rows: list[dict[Any, Any]] = found.to_dict("records")
    for rank, row in enumerate(rows, start=1):
        shown = [str(rank), str(row["id"]), f"{row['gain']:.1%}"]
        table.add_row(*shown, *([f"{row['disagreement']:.3f}"] if with_model else []))
    console.print(table)
