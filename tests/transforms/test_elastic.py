"""Smooth random displacements: the published kernels, their border, their size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, map_coordinates

from selfscan.transforms.elastic import (
    ElasticParameters,
    apply_elastic,
    draw_elastic,
    elastic_displacements,
    gaussian_bands,
)
from selfscan.transforms.random import KeyedGenerator


def random(examples: int = 2) -> KeyedGenerator:
    return KeyedGenerator.for_examples(0, torch.arange(examples))


def test_published_kernels() -> None:
    bands = gaussian_bands(torch.tensor([10.0, 11.5, 13.0]), 301)
    assert (bands[:, 150] > 0).sum(dim=1).tolist() == [81, 93, 105]
    centers = [0.03989626, 0.03469245, 0.03068951]
    assert bands[:, 150, 150].tolist() == pytest.approx(centers, rel=1e-6)
    torch.testing.assert_close(bands[:, 150].sum(dim=1), torch.ones(3))


def test_the_field_is_scipys_blur_of_the_noise() -> None:
    parameters = draw_elastic(random(), sigma=(2.0, 3.0), amplitude=40.0)
    field = elastic_displacements(parameters, (12, 9, 20))
    noise = 2 * KeyedGenerator(parameters.seeds).uniform(3, 12, 9, 20) - 1
    for i, axis in np.ndindex(2, 3):
        blurred = gaussian_filter(
            noise[i, axis].double().numpy(), parameters.sigma[i].item(), mode="constant"
        )
        expected = torch.from_numpy(blurred).float() * parameters.amplitude[i]
        torch.testing.assert_close(field[i, axis], expected, rtol=1e-4, atol=1e-5)


def test_the_published_field_moves_by_about_a_voxel() -> None:
    parameters = ElasticParameters(
        seeds=torch.arange(8), sigma=torch.full((8,), 10.0), amplitude=torch.full((8,), 512.0)
    )
    field = elastic_displacements(parameters, (96, 96, 96))
    assert field.std().item() == pytest.approx(1.4, abs=0.2)
    assert field.abs().max().item() < 7


def test_without_amplitude_only_the_releases_half_voxel_is_left() -> None:
    parameters = draw_elastic(random(), sigma=(10.0, 13.0), amplitude=0.0)
    assert not elastic_displacements(parameters, (8, 7, 6)).any()
    released = elastic_displacements(parameters, (8, 7, 6), centered=False)
    assert released.mean(dim=(0, 2, 3, 4)).tolist() == [0.5, 0.0, 0.5]


def test_draws_stay_in_range_and_are_an_examples_own() -> None:
    drawn = draw_elastic(random(500), sigma=(10.0, 13.0), amplitude=512.0)
    assert 10 <= drawn.sigma.min() < 10.1
    assert 12.9 < drawn.sigma.max() < 13
    assert 0 <= drawn.amplitude.min() < 10
    assert 500 < drawn.amplitude.max() < 512
    alone = draw_elastic(
        KeyedGenerator.for_examples(0, torch.tensor([7])), sigma=(10.0, 13.0), amplitude=512.0
    )
    assert (alone.seeds, alone.sigma) == (drawn.seeds[7:8], drawn.sigma[7:8])


def test_an_amplitude_may_be_fixed() -> None:
    drawn = draw_elastic(random(20), sigma=(8.0, 8.0), amplitude=991.0, least_amplitude=991.0)
    assert (drawn.sigma == 8).all()
    assert (drawn.amplitude == 991).all()


def in_plane(examples: int = 2) -> ElasticParameters:
    """As TransVW publishes it."""
    return draw_elastic(random(examples), sigma=(8.0, 8.0), amplitude=991.0, least_amplitude=991.0)


def test_a_volume_is_read_as_scipy_reads_it_at_mirrored_places() -> None:
    size = (24, 20, 12)
    volumes, parameters = random().uniform(1, *size), in_plane()
    moved = apply_elastic(volumes, parameters, axes=(0, 1))
    noise = 2 * KeyedGenerator(parameters.seeds).uniform(2, *size) - 1
    indices = np.indices(size).astype(float)
    for i in range(2):
        along_x, along_y = (
            991 * gaussian_filter(field.double().numpy(), 8, mode="constant") for field in noise[i]
        )
        places = indices + np.stack([along_x, along_y, np.zeros(size)])
        # SciPy's "reflect" is the half-sample symmetric mirror image.
        expected = map_coordinates(volumes[i, 0].double().numpy(), places, order=1, mode="reflect")
        assert np.abs(moved[i, 0].numpy() - expected).max() < 2e-4
    assert not torch.equal(moved, volumes)


def test_displacements_are_as_large_as_published() -> None:
    field = elastic_displacements(in_plane(16), (64, 64, 32), axes=(0, 1))
    assert not field[:, 2].any()
    moved = field[:, :2]
    assert moved[..., 24:40, 24:40, 12:20].std().item() == pytest.approx(3.78, abs=0.35)
    corners = moved[..., [0, -1], :, :][..., [0, -1], :][..., [0, -1]]
    assert corners.std().item() == pytest.approx(1.48, abs=0.25)
    assert moved.abs().flatten()[::31].quantile(0.99).item() == pytest.approx(8.66, abs=0.7)


def test_what_is_constant_within_slices_stays() -> None:
    volumes = torch.rand(1, 1, 1, 1, 16).expand(2, 1, 20, 20, 16).contiguous()
    moved = apply_elastic(volumes, in_plane(), axes=(0, 1))
    torch.testing.assert_close(moved, volumes, atol=1e-5, rtol=0)
