from __future__ import annotations

import numpy as np

from selfscan.scans.phantom.fields import Grid
from selfscan.scans.phantom.patient import TISSUES, Patient


def test_a_population_has_both_sexes_all_phases_and_every_build() -> None:
    patients = [Patient.drawn(np.random.default_rng(seed)) for seed in range(60)]
    assert 15 < sum(patient.female for patient in patients) < 45
    aorta = np.array([patient.tissues["arterial blood"].hu for patient in patients])
    assert (aorta < 60).any()
    assert (aorta > 260).any()
    assert ((aorta > 140) & (aorta < 200)).any()
    fat = np.array([patient.fat_mm for patient in patients])
    assert fat.min() < 12
    assert fat.max() > 28
    assert all(set(patient.tissues) == set(TISSUES) for patient in patients)


def test_the_warp_never_folds() -> None:
    grid = Grid((42, 32, 56), (10, 10, 10))
    for seed in range(5):
        random = np.random.default_rng(seed)
        points = Patient.drawn(random).points(random, grid)
        jacobian = np.stack([np.stack(np.gradient(axis, 10.0)) for axis in points])
        volumes = np.linalg.det(np.moveaxis(jacobian, (0, 1), (-2, -1)))
        assert volumes.min() > 0.3
        assert volumes.max() < 2.5


def test_pose_and_size_are_small() -> None:
    for seed in range(20):
        patient = Patient.drawn(np.random.default_rng(seed))
        np.testing.assert_allclose(patient.turn @ patient.turn.T, np.eye(3), atol=1e-9)
        assert np.abs(patient.turn - np.eye(3)).max() < 0.2
        assert ((patient.size > 0.8) & (patient.size < 1.25)).all()
