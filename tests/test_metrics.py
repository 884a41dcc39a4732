"""Scores of a segmentation against hand-computed values."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch

from selfscan.metrics import case_metrics, dice_scores

CLASSES = {0: "background", 1: "liver", 2: "spleen"}


def box(start: int, stop: int, label: int = 1) -> npt.NDArray[np.uint8]:
    """A cuboid [start, stop) x [4, 10) x [4, 10) of a label in 20 voxels cubed."""
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[start:stop, 4:10, 4:10] = label
    return labels


def test_dice_by_hand() -> None:
    rows = case_metrics(box(4, 8), box(6, 10), classes={1: "liver"}, spacing=(1, 1, 1))
    assert rows[0].dice == pytest.approx(2 * 2 / (4 + 4))
    assert rows[0].empty == "neither"


def test_perfect_prediction() -> None:
    (row,) = case_metrics(box(4, 8), box(4, 8), classes={1: "liver"}, spacing=(1, 2, 3))
    assert (row.dice, row.nsd, row.hd95) == (1.0, 1.0, 0.0)


def test_distances_are_in_millimeters() -> None:
    spacing = (2.5, 1.0, 1.0)
    (row,) = case_metrics(box(4, 8), box(5, 9), classes={1: "liver"}, spacing=spacing)
    assert row.hd95 == pytest.approx(2.5)
    (strict,) = case_metrics(
        box(4, 8), box(5, 9), classes={1: "liver"}, spacing=spacing, tolerance_mm=0.5
    )
    (loose,) = case_metrics(
        box(4, 8), box(5, 9), classes={1: "liver"}, spacing=spacing, tolerance_mm=2.5
    )
    assert strict.nsd < 1.0
    assert loose.nsd == 1.0


def test_nsd_by_slow_counting() -> None:
    found, truth = box(4, 8), box(6, 10)

    def surface(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        shifted = [np.roll(mask, s, axis) for axis in range(3) for s in (-1, 1)]
        return np.argwhere(mask & ~np.logical_and.reduce(shifted)).astype(float)

    one, other = surface(found == 1), surface(truth == 1)
    distances = np.linalg.norm(one[:, None] - other[None], axis=-1)
    near = (distances.min(1) <= 1).sum() + (distances.min(0) <= 1).sum()
    (row,) = case_metrics(found, truth, classes={1: "liver"}, spacing=(1, 1, 1), tolerance_mm=1.0)
    assert row.nsd == pytest.approx(near / (len(one) + len(other)))


def test_objects_at_the_border_of_the_volume() -> None:
    labels = np.ones((6, 6, 6), np.uint8)
    (row,) = case_metrics(labels, labels, classes={1: "all"}, spacing=(1, 1, 1))
    assert (row.dice, row.nsd, row.hd95) == (1.0, 1.0, 0.0)


def test_what_an_empty_label_gives() -> None:
    nothing = np.zeros_like(box(4, 8))
    missed, absent = case_metrics(nothing, box(4, 8), classes=CLASSES, spacing=(1, 1, 1))
    assert (missed.name, missed.dice, missed.nsd, missed.empty) == ("liver", 0.0, 0.0, "prediction")
    assert math.isnan(missed.hd95)
    assert (absent.name, absent.empty) == ("spleen", "both")
    assert all(math.isnan(value) for value in (absent.dice, absent.nsd, absent.hd95))
    invented, _ = case_metrics(box(4, 8), nothing, classes=CLASSES, spacing=(1, 1, 1))
    assert (invented.dice, invented.empty) == (0.0, "truth")


def test_tensors_and_arrays_give_the_same() -> None:
    arrays = case_metrics(box(4, 8), box(6, 10), classes={1: "liver"}, spacing=(1, 1, 2))
    tensors = case_metrics(
        torch.from_numpy(box(4, 8)).long(),
        torch.from_numpy(box(6, 10)).long(),
        classes={1: "liver"},
        spacing=(1, 1, 2),
    )
    assert arrays == tensors


def test_quick_dice_equals_the_full_one() -> None:
    random = np.random.default_rng(0)
    found, truth = random.integers(0, 4, (2, 9, 8, 7)).astype(np.uint8)
    found[found == 3] = 0
    truth[truth == 3] = 2
    rows = case_metrics(found, truth, classes={1: "a", 2: "b", 3: "c"}, spacing=(1, 1, 1))
    quick = dice_scores(found, truth, classes=4)
    np.testing.assert_allclose(quick, [row.dice for row in rows], atol=1e-6)
    assert math.isnan(quick[2])


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match=r"share one shape.*\(20, 20, 20\) and \(20, 20, 19\)"):
        case_metrics(box(4, 8), box(4, 8)[..., :-1], classes={1: "liver"}, spacing=(1, 1, 1))
    with pytest.raises(ValueError, match="spacing must be three positive"):
        case_metrics(box(4, 8), box(4, 8), classes={1: "liver"}, spacing=(1, 1, 0))
    with pytest.raises(ValueError, match="tolerance_mm must not be negative, got -1"):
        case_metrics(box(4, 8), box(4, 8), classes={1: "liver"}, spacing=(1, 1, 1), tolerance_mm=-1)
