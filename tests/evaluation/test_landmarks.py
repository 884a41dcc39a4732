from __future__ import annotations

import numpy as np

from selfscan.evaluation.landmarks import organ_middles

NAMES = {0: "background", 1: "bar", 2: "arch", 3: "absent"}


def test_the_middle_lies_in_the_organ() -> None:
    labels = np.zeros((9, 9, 9), np.uint8)
    labels[1:4, 2, 5] = 1
    labels[6:9, 0:7, 8] = 2
    labels[7, 1:7, 8] = 0  # open to one side: the centroid (7, 2.8, 8) is not in the arch
    found = organ_middles(labels, NAMES, (1.0, 1.0, 1.0))
    assert list(found) == ["bar", "arch"]
    assert found["bar"].tolist() == [2, 2, 5]
    assert found["arch"].tolist() in ([6, 3, 8], [8, 3, 8])


def test_distances_are_in_mm() -> None:
    labels = np.zeros((5, 5, 1), np.uint8)
    # The centroid is (2, 2); the voxel at (2, 4) is nearer than (0, 1) where Y is short.
    labels[[0, 4, 2], [1, 1, 4], 0] = 1
    assert organ_middles(labels, NAMES, (1.0, 0.1, 1.0))["bar"].tolist() == [2, 4, 0]
    assert organ_middles(labels, NAMES, (0.1, 1.0, 1.0))["bar"].tolist() == [0, 1, 0]
