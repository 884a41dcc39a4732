from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from selfscan.scans.phantom import PHANTOM_LABELS, phantom

COARSE_MM = (8.0, 8.0, 8.0)


@pytest.mark.slow
def test_a_seed_is_a_patient() -> None:
    first, again, other = (phantom(seed, spacing_mm=COARSE_MM) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.volume, again.volume)
    np.testing.assert_array_equal(first.labels, again.labels)
    agreement = [((first.labels == n) & (other.labels == n)).sum() for n in PHANTOM_LABELS]
    sizes = [(first.labels == n).sum() + (other.labels == n).sum() for n in PHANTOM_LABELS]
    overlap = 2 * np.array(agreement[1:]) / sizes[1:]
    assert (overlap < 0.95).all()
    assert overlap.mean() > 0.4


def test_what_is_returned(torsos: list[Any]) -> None:
    for torso in torsos:
        scan = torso.scan
        assert scan.volume.dtype == np.int16
        assert scan.labels.dtype == np.uint8
        assert scan.volume.shape == scan.labels.shape == (84, 68, 93)
        np.testing.assert_allclose(np.diag(scan.affine), [5, 5, 6, 1])
        assert scan.volume.min() >= -1024
        assert scan.volume.max() < 1500
        assert set(np.unique(scan.labels)) == set(PHANTOM_LABELS)


@pytest.mark.slow
def test_spacing_changes_the_sampling_and_not_the_patient() -> None:
    fine, coarse = (phantom(2, spacing_mm=s) for s in ((4.0, 4.0, 4.0), (6.0, 6.0, 6.0)))
    for number, name in PHANTOM_LABELS.items():
        if number:
            volumes = [(s.labels == number).sum() * s.affine[0, 0] ** 3 for s in (fine, coarse)]
            assert volumes[0] == pytest.approx(volumes[1], rel=0.12), name


def test_a_smaller_field_cuts_the_same_patient() -> None:
    whole = phantom(1, spacing_mm=COARSE_MM, field_mm=(416.0, 320.0, 560.0))
    part = phantom(1, spacing_mm=COARSE_MM, field_mm=(256.0, 192.0, 304.0))
    cut = whole.labels[10:-10, 8:-8, 16:-16]
    assert (cut == part.labels).mean() > 0.999


def test_a_field_beside_all_organs_is_no_error() -> None:
    assert phantom(0, spacing_mm=(8, 8, 8), field_mm=(64, 64, 64)).volume.shape == (8, 8, 8)


def test_noise_and_table_outside_the_body(torsos: list[Any]) -> None:
    for torso in torsos:
        volume = torso.scan.volume
        assert abs(volume[:8, -8:].mean() + 1000) < 3
        assert 1 < volume[:8, -8:].std() < 12
        # The board under the patient is denser than air; along the body it is the same.
        assert (volume[:4, :24] > -960).any(axis=(0, 1)).mean() > 0.9
        liver = torso.hu("liver").astype(float)
        assert 4 < np.diff(liver).std() / 2**0.5 < 40
