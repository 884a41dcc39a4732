"""Scores of a segmentation of one case: Dice, surface Dice (NSD) and HD95, one row a class.

What an empty label gives: absent from both, a class has no score (NaN throughout, left out of means
and counted apart); absent from one, Dice and NSD are 0 and HD95, which would be infinite, is NaN.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Labels = npt.NDArray[Any] | Tensor
Empty = Literal["neither", "prediction", "truth", "both"]


@dataclass(frozen=True)
class ClassMetrics:
    """The scores of one class in one case.

    Attributes:
        label: Its value in the label map.
        name: Its name.
        dice: Overlap, 0 to 1.
        nsd: Share of both surfaces within the tolerance of the other, 0 to 1.
        hd95: The larger of the two directed 95th percentiles of surface distance, in mm.
        empty: Which of the two label maps lacks the class.
    """

    label: int
    name: str
    dice: float
    nsd: float
    hd95: float
    empty: Empty


def case_metrics(
    prediction: Labels,
    truth: Labels,
    *,
    classes: Mapping[int, str],
    spacing: Sequence[float],
    tolerance_mm: float = 2.0,
) -> list[ClassMetrics]:
    """Score one predicted label map against the true one.

    Args:
        prediction: Integer labels, shape (X, Y, Z).
        truth: Integer labels of the same shape.
        classes: Names of the label values to score; the background, 0, is skipped.
        spacing: Size of a voxel along (X, Y, Z), in mm.
        tolerance_mm: Distance up to which two surfaces count as equal, for NSD.

    Raises:
        ValueError: Shapes differ, or the spacing or the tolerance has no meaning.
    """
    found, expected = np.asarray(prediction), np.asarray(truth)
    if found.shape != expected.shape or found.ndim != 3:
        raise ValueError(
            "prediction and truth must share one shape (X, Y, Z), "
            f"got {found.shape} and {expected.shape}"
        )
    if len(spacing) != 3 or min(spacing) <= 0:
        raise ValueError(f"spacing must be three positive numbers in mm, got {tuple(spacing)}")
    if tolerance_mm < 0:
        raise ValueError(f"tolerance_mm must not be negative, got {tolerance_mm}")
    return [
        _score(found == label, expected == label, label, name, tuple(spacing), tolerance_mm)
        for label, name in classes.items()
        if label != 0
    ]


def dice_scores(
    prediction: npt.NDArray[Any], truth: npt.NDArray[Any], *, classes: int
) -> npt.NDArray[np.float64]:
    """Dice alone, of all classes at once: quick enough to choose among models while they train.

    Args:
        prediction: Labels from 0 to `classes` - 1.
        truth: Labels of the same shape.
        classes: The number of classes, background included.

    Returns:
        The Dice of classes 1 to `classes` - 1; NaN where prediction and truth lack the class.
    """
    joint = np.bincount(
        truth.ravel().astype(np.int64) * classes + prediction.ravel(), minlength=classes**2
    ).reshape(classes, classes)
    voxels = (joint.sum(0) + joint.sum(1)).astype(np.float64)
    scores: npt.NDArray[np.float64] = 2 * joint.diagonal() / np.where(voxels > 0, voxels, np.nan)
    return scores[1:]


def _score(
    prediction: npt.NDArray[np.bool_],
    truth: npt.NDArray[np.bool_],
    label: int,
    name: str,
    spacing: tuple[float, ...],
    tolerance_mm: float,
) -> ClassMetrics:
    # MONAI takes seconds to import: who computes none of these does not wait for it.
    from monai.metrics import compute_dice, compute_hausdorff_distance, compute_surface_dice

    if not (prediction.any() and truth.any()):
        if prediction.any() or truth.any():
            empty: Empty = "truth" if prediction.any() else "prediction"
            return ClassMetrics(label, name, 0.0, 0.0, math.nan, empty)
        return ClassMetrics(label, name, math.nan, math.nan, math.nan, "both")
    box = _bounding_box(prediction | truth)
    found, expected = (torch.from_numpy(m[box][None, None]) for m in (prediction, truth))
    millimeters = cast("Sequence[float]", spacing)
    dice = compute_dice(found, expected)
    with warnings.catch_warnings():
        # MONAI warns of an argument that it gives to itself.
        warnings.filterwarnings("ignore", ".*always_return_as_numpy", FutureWarning)
        nsd = compute_surface_dice(
            found, expected, [tolerance_mm], include_background=True, spacing=millimeters
        )
        hd95 = compute_hausdorff_distance(
            found, expected, include_background=True, percentile=95, spacing=millimeters
        )
    return ClassMetrics(label, name, dice.item(), nsd.item(), hd95.item(), "neither")


def _bounding_box(mask: npt.NDArray[np.bool_]) -> tuple[slice, ...]:
    """The box around the true voxels and one voxel more: surfaces need no more of the volume."""
    spans = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        inside = np.flatnonzero(mask.any(axis=others))
        spans.append(slice(max(int(inside[0]) - 1, 0), int(inside[-1]) + 2))
    return tuple(spans)
