"""Mean Dice of whole scans, shared by the ranks of a run: what validations watch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from lightning_fabric import Fabric

from selfscan.metrics import dice_scores
from selfscan.scans.store import Store


def mean_dice(
    segment: Callable[[int], npt.NDArray[Any]],
    store: Store | None,
    *,
    label_names: Mapping[int, str],
    fabric: Fabric,
) -> dict[str, float]:
    """Segment scans and average Dice over classes, then over scans; ranks share the scans.

    Args:
        segment: The label map (X, Y, Z) of a scan of the store, by its number.
        store: Labelled scans; None where there are none.
        label_names: Names of the label values 0, 1, ..., K - 1; 0 is the background.
        fabric: Launched.

    Returns:
        `dice` for the mean, and `dice/NAME` of each class; NaN where nothing has a score.
    """
    names = [name for label, name in sorted(label_names.items()) if label]
    scores = np.full((len(store) if store else 0, len(names)), np.nan)
    for i in range(fabric.global_rank, len(scores), fabric.world_size):
        assert store is not None
        scores[i] = dice_scores(segment(i), store.read_labels(i), classes=len(names) + 1)
    shared = torch.from_numpy(np.nan_to_num(scores)).to(fabric.device, torch.float32)
    counted = torch.from_numpy(~np.isnan(scores)).to(fabric.device, torch.float32)
    if fabric.world_size > 1:
        shared = torch.as_tensor(fabric.all_reduce(shared, reduce_op="sum"))
        counted = torch.as_tensor(fabric.all_reduce(counted, reduce_op="sum"))
    # 0 / 0 is NaN: a scan, or a class, without a score.
    by_scan = shared.sum(1) / counted.sum(1)
    by_class = shared.sum(0) / counted.sum(0)
    values = {f"dice/{name}": float(v) for name, v in zip(names, by_class, strict=True)}
    return {"dice": float(by_scan.nanmean()), **values}
