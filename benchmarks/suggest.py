"""Does `suggest` choose better cases to label than chance? An experiment on labelled scans.

The labelled scans of the training split are taken for unlabeled ones. So many are chosen by their
embeddings, and as many by chance several times; a linear probe of the same checkpoint learns from
each choice and is scored on the test split.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from rich.console import Console
from rich.table import Table

from selfscan.evaluation.coverage import choose, standardized
from selfscan.scans.store import Store
from selfscan.training.engine import EngineConfig
from selfscan.training.frozen import freeze
from selfscan.training.pooled import pooled_features
from selfscan.training.probe import ProbeRecipe, probe
from selfscan.training.segmentation import inference_fabric
from selfscan.training.start import starting_point


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("store", type=Path, help="a prepared store with labels")
    parser.add_argument("checkpoint", type=Path, help="a pre-training run")
    parser.add_argument("--labels", type=int, nargs="+", default=(2, 4, 8), help="cases chosen")
    parser.add_argument("--chances", type=int, default=8, help="random choices of each number")
    parser.add_argument("--seed", type=int, default=0, help="of the random choices")
    chosen = parser.parse_args()
    store = Store(chosen.store).select(splits=["train"], labelled=True)
    features = embeddings(store, chosen.checkpoint)
    numbers = range(len(store))
    order = [
        i
        for i, _ in choose(features, max(chosen.labels), candidates=numbers, groups=store.subjects)
    ]
    random = np.random.default_rng(chosen.seed)
    table = Table(
        "cases", "suggested", "by chance", "spread", "chance is better", title="Dice of the test"
    )
    for count in chosen.labels:
        suggested = dice(chosen, store, order[:count])
        others = np.array(
            [
                dice(chosen, store, random.choice(len(store), count, replace=False).tolist())
                for _ in range(chosen.chances)
            ]
        )
        table.add_row(
            str(count),
            f"{suggested:.3f}",
            f"{others.mean():.3f}",
            f"{others.std(ddof=1):.3f}",
            f"{(others > suggested).sum()} of {len(others)}",
        )
    Console().print(table)


def embeddings(store: Store, checkpoint: Path) -> np.ndarray:
    """One standardized embedding a scan."""
    start = starting_point(
        store, checkpoint=checkpoint, backbone=None, crop_size=None, window_hu=None
    )
    frozen, _ = freeze(start, seed=0, overlap=0.5, fabric=inference_fabric(EngineConfig()))
    return standardized(pooled_features(frozen, store).numpy())


def dice(chosen: argparse.Namespace, store: Store, numbers: list[int]) -> float:
    """Mean Dice of the test split by a linear probe that learned from these scans."""
    with TemporaryDirectory() as folder:
        scored = probe(
            chosen.store,
            folder,
            checkpoint=chosen.checkpoint,
            cases=[store.ids[i] for i in numbers],
            recipe=ProbeRecipe(overlap=0.25, voxels_per_class=300, background_voxels=3000),
        )
    return float(scored["dice"].mean())


if __name__ == "__main__":
    main()
