"""Pairs of different patients, and how well the labels of one fall on those of the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from selfscan.metrics import dice_scores
from selfscan.scans.store import Store, outside
from selfscan.training.matching import Matched
from selfscan.training.moving import Grid, move_onto
from selfscan.training.registration import Registration

Array = npt.NDArray[Any]
Pair = tuple[int, int]
IDENTITY, AFFINE, WARP = "identity", "affine only", "warp"


def draw_pairs(subjects: Sequence[str], count: int, *, seed: int) -> list[Pair]:
    """Draw pairs of scans (moving, fixed) of different patients, none twice.

    In rounds: in each a patient is in one pair at most, so that few pairs share patients, and none
    as long as there are twice as many patients as pairs.

    Args:
        subjects: The patient of each scan; at least two different ones.
        count: Pairs to draw; as many as there are, where these are fewer.
        seed: Other seeds give other pairs.
    """
    random = np.random.default_rng(seed)
    scans: dict[str, list[int]] = {}
    for scan, subject in enumerate(subjects):
        scans.setdefault(subject, []).append(scan)
    patients = list(scans.values())
    possible = len(subjects) ** 2 - sum(len(own) ** 2 for own in patients)
    pairs: dict[Pair, None] = {}
    while len(pairs) < min(count, possible):
        order = random.permutation(len(patients))
        for moving, fixed in zip(order[0::2], order[1::2], strict=False):
            pair = int(random.choice(patients[moving])), int(random.choice(patients[fixed]))
            pairs[pair] = None
    return list(pairs)[:count]


def arms(registration: Registration) -> dict[str, Registration]:
    """What is compared: the crops laid on each other, the affine part, and all of the map."""
    return {
        IDENTITY: registration.identity(),
        AFFINE: registration.affine_only(),
        WARP: registration,
    }


def score_pair(scans: Store, pair: Pair, matched: Matched) -> list[dict[str, Any]]:
    """A row an arm and label that both scans have.

    Dice is that of the moved and the fixed scan's labels on the fixed scan's whole grid. The local
    correlation, in the crop that the network saw, and the share of its voxels where the map folds
    are those of the pair, the same for all its labels.
    """
    moving, fixed = (scans[i] for i in pair)
    labels, truth = (scans.read_labels(i) for i in pair)
    shared = sorted({*np.unique(labels).tolist()} & {*np.unique(truth).tolist()} - {0})
    rows: list[dict[str, Any]] = []
    for arm, registration in arms(matched.registration).items():
        moved = moved_labels(scans, pair, registration)
        dice = dice_scores(moved, truth, classes=1 + max(int(labels.max()), int(truth.max())))
        of_pair = {
            "moving": moving.id,
            "fixed": fixed.id,
            "moving_subject": moving.subject,
            "fixed_subject": fixed.subject,
            "arm": arm,
            "correlation": matched.correlation(registration),
            "folding": registration.folding(),
        }
        rows += [
            of_pair
            | {
                "label": label,
                "structure": scans.label_names.get(label, f"label {label}"),
                "dice": float(dice[label - 1]),
            }
            for label in shared
        ]
    return rows


def moved_labels(scans: Store, pair: Pair, registration: Registration) -> Array:
    """The labels of the moving scan on the grid of the fixed one, (X, Y, Z)."""
    volume, affine = scans.read_labels(pair[0])[None], np.array(scans[pair[0]].affine)
    moved = move_onto(_grid(scans, pair), volume, affine, registration, outside=[0], order=0)
    labels: Array = moved[0]
    return labels


def moved_volume(scans: Store, pair: Pair, registration: Registration) -> Array:
    """The stored voxels of the moving scan on the grid of the fixed one, (C, X, Y, Z)."""
    moving = scans[pair[0]]
    around = outside(moving.hounsfield).ravel().tolist()
    volume, affine = scans.read(pair[0]), np.array(moving.affine)
    return move_onto(_grid(scans, pair), volume, affine, registration, outside=around)


def _grid(scans: Store, pair: Pair) -> Grid:
    return Grid(scans[pair[1]].shape, np.array(scans[pair[1]].affine))
